# request_response.sh PROGRAM [REQUESTS]: answers carry their ids, urgent ones overtake, late ones die, calls time out.
set -eu
count=${2:-$((($(date +%s) % 900) + 10))}
output=$("$1" --backend cpu --requests $count)
echo "$output"
echo "$output" | awk -v count=$count '
function wrong(text) { print "wrong: " text; failed = 1 }
function expect(text) { if ($0 != text) wrong("\"" text "\" expected") }

/^[0-9]+ requests/ { part = "correlation"; turn = 0; next }
/^priorities/ { part = "priorities"; next }
/^the order/ { part = "order"; next }
/^deadlines/ { part = "deadlines"; next }
/^calls/ { part = "calls"; line = 0; next }

part == "correlation" {
    turn++
    expect("    correlation " 1000 + turn ": " turn " squared is " turn * turn ", answered as number " turn)
}
part == "priorities" { priority[substr($2, 1, length($2) - 1)] = $3; sent++ }
part == "order" {
    turn++
    id = substr($2, 1, length($2) - 1)
    if (!(id in priority)) wrong("answer to something that was not asked, or twice")
    if ($NF != turn) wrong("answered out of turn")
    # One message in 32 is taken from a lower level first, so that none waits for ever: it may be this one.
    if (++answered > 2 && priority[id] == "critical") wrong("the critical one did not overtake")
    if (id < last[priority[id]]) wrong("two of one priority changed places")
    last[priority[id]] = id
    delete priority[id]
}
part == "deadlines" { deadlines++ }
part == "deadlines" && /3001: dead letter, its deadline had passed$/ { expired = 1 }
part == "deadlines" && /3002: 2 squared is 4,/ { alive = 1 }
part == "calls" && ++line == 1 { expect("    RK_OK: 12 squared is 144") }
part == "calls" && line == 2 { expect("    RK_TIMEOUT: no answer in time") }
part == "calls" && line == 3 { expect("    RK_OK: 14 squared is 196") }

END {
    if (sent != 6 || answered != 6) wrong(sent + 0 " sent by priority, " answered + 0 " answered")
    if (deadlines != 2 || !expired || !alive) wrong("deadlines")
    if (line != 3) wrong("calls")
    exit failed
}'
