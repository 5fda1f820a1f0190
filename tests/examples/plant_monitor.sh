# plant_monitor.sh PROGRAM: what it finds, is told and measures; with options from a file and from the environment.
set -eu
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cat >"$folder/plant.toml" <<'TOML'
[runtime]
backend = "cpu"
[kernels.south]
latency_every = 1
TOML
output=$("$1" --config "$folder/plant.toml" --metrics "$folder/metrics" --trace "$folder/trace" --timings)
echo "$output"
test "$(echo "$output" | head -n 13)" = "\
plant/*: plant/north plant/south
plant/*/pump/1: plant/north/pump/1 plant/south/pump/1
plant/north/#: plant/north plant/north/pump/0 plant/north/pump/1 plant/north/pump/2
alert: depth is too high
1 alert
plant/south/pump/1 delivered 11175 litres
alert: depth is as it should be
0 alerts
alert: failures is too high
1 alert
alert: failures is as it should be
0 alerts
$(echo "$output" | sed -n 13p)"
echo "$output" | grep -q '^it broke at 2[0-9-]*T[0-9:.]*Z/[0-9]*$'
echo "$output" | grep -q '^waiting of 151 messages: p50 [1-9][0-9]* ns, p99 [1-9][0-9]* ns$'
echo "$output" | grep -q '^handling of 151 messages: '
grep -q '^ringkernel_handled_total{kernel="south",id="[0-9]*",backend="cpu"} 151$' "$folder/metrics"
grep -q '^ringkernel_failures_total{kernel="north",id="[0-9]*",backend="cpu"} 1$' "$folder/metrics"
test "$(grep -c '"cat":"handler",.*"name":"deliver"' "$folder/trace")" = 150
test "$(grep -c '"cat":"handler",.*"name":"smash"' "$folder/trace")" = 1
test "$(grep -c '"ph":"s"' "$folder/trace")" = 152
tail -n 1 "$folder/trace" | grep -q '^]}$'

# The environment comes before the file, and a name that is not known is refused with the nearest.
RINGKERNEL_KERNEL_LATENCY_EVERY=1000 "$1" --config "$folder/plant.toml" --timings | grep -q '^handling of [0-9] messages'
echo 'latency_evry = 1' >>"$folder/plant.toml"
if said=$("$1" --config "$folder/plant.toml" 2>&1); then
    echo 'a name that is not known was not refused'
    exit 1
fi
echo "$said" | grep -q 'plant.toml:5: there is no option latency_evry; the nearest is latency_every'
