include(FetchContent)
FetchContent_Declare(ringkernel GIT_REPOSITORY https://github.com/ringkernel/ringkernel.git GIT_TAG v0.1.0)
FetchContent_MakeAvailable(ringkernel) # the test sets FETCHCONTENT_SOURCE_DIR_RINGKERNEL, so nothing is fetched
