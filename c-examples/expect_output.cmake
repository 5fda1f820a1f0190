# cmake -DPROGRAM=... -DEXPECTED=... -P expect_output.cmake: PROGRAM has to succeed and to print what is in EXPECTED.
execute_process(COMMAND "${PROGRAM}" OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE result TIMEOUT 60)
file(READ "${EXPECTED}" expected)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "${PROGRAM} ended with ${result}\n${output}${errors}")
elseif(NOT output STREQUAL expected)
    message(FATAL_ERROR "${PROGRAM} printed\n${output}${errors}\ninstead of\n${expected}")
endif()
message("${output}")
