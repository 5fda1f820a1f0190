#!/bin/sh
# Writes melody.wav with sox: the first half of "Frère Jacques" on a plucked string, 4 s, mono, 16 kHz, 16 bits. The
# low-pass filter makes the fundamental the strongest partial of each note.
set -eu
cd "$(dirname "$0")"
notes=$(mktemp -d)
trap 'rm -r "$notes"' EXIT
count=0
pluck() {
    count=$((count + 1))
    sox -R -D -n -r 16000 -b 16 "$notes/$(printf %02d $count).wav" synth "$2" pluck "$1" lowpass 600 fade 0 "$2" 0.02
}
for note in C5 D5 E5 C5 C5 D5 E5 C5; do pluck $note 0.25; done
for bar in 1 2; do pluck E5 0.25; pluck F5 0.25; pluck G5 0.5; done
sox -R -D "$notes"/*.wav melody.wav norm -3
