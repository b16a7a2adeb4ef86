#!/bin/sh
# SPDX-License-Identifier: MIT
# Crash tests of a qcow2 program for CI: each workload is swept, what a sweep did not come to the end of is
# sampled and goes on the next time, and at last generated workloads are swept as far as the time goes. What was
# found stays in the folder "known", small, and is run first the next time.
#
#   usage: crash-tests.sh WORKLOAD.qio ...
#
#   COWTIP          the program (cowtip)
#   COWTIP_SUBJECT  what is tested, e.g. 'qemu-io -t {cache} -d unmap -f qcow2 {image}' ("": cowtip's own engine)
#   COWTIP_BUDGET   of each search (120s)
#   COWTIP_SEED     of the samples; the number of the CI's run makes them new ones each time (1)
#   COWTIP_OUT      reports, traces, checkpoints; keep it from one run to the next (cowtip-ci)
#   COWTIP_CAMPAIGN words for the campaign of generated workloads; "": none (--requests 1..2)
#   COWTIP_TRACES   bytes of traces that each search may leave (16M)
#
# Exit status: 0 nothing wrong was seen, also when the budget ended first; 1 a rule was violated; else that
# of the search that failed.
set -u

cowtip=${COWTIP:-cowtip}
subject=${COWTIP_SUBJECT:-}
budget=${COWTIP_BUDGET:-120s}
seed=${COWTIP_SEED:-1}
out=${COWTIP_OUT:-cowtip-ci}
traces=${COWTIP_TRACES:-16M}
campaign=${COWTIP_CAMPAIGN---requests 1..2}
worst=0

# search NAME OPTION...: one search with a report of its own; its status is in $status.
search() {
	report=$out/$1.xml
	shift
	status=0
	"$cowtip" "$@" --budget "$budget" --traces "$traces" --junit "$report" || status=$?
}

# Anything but 0 and 3 fails the job; a violation more than a search that went wrong.
count() {
	if [ "$status" = 1 ] || { [ "$worst" = 0 ] && [ "$status" != 3 ]; }; then
		worst=$status
	fi
}

# sweep_one WORKLOAD: from where the last sweep ended, if that left a checkpoint which still fits.
sweep_one() {
	name=$(basename "$1" .qio)
	checkpoint=$out/$name.checkpoint
	known=$out/known/$name
	status=2
	if [ -f "$checkpoint" ]; then
		search "$name" sweep --resume "$checkpoint" --corpus "$known" --out "$out"
	fi
	if [ "$status" = 2 ]; then
		rm -f "$checkpoint"
		search "$name" sweep "$1" ${subject:+--program "$subject"} --corpus "$known" --out "$out"
	fi
	if [ "$status" != 3 ]; then
		rm -f "$checkpoint"
	elif [ -z "$subject" ]; then
		count
		search "$name-samples" sweep "$1" --strategy pos --seed "$seed" --out "$out/samples"
	fi
	count
}

# generated: the campaign goes on where its journal ends; one that was begun with other words, or by another
# version, begins anew.
generated() {
	# shellcheck disable=SC2086 # they are words
	search campaign campaign $campaign ${subject:+--program "$subject"} --out "$out/campaign"
	if [ "$status" = 2 ] && [ -f "$out/campaign/journal" ]; then
		rm -rf "$out/campaign"
		# shellcheck disable=SC2086
		search campaign campaign $campaign ${subject:+--program "$subject"} --out "$out/campaign"
	fi
	count
}

mkdir -p "$out/known" || exit 2
for workload in "$@"; do
	sweep_one "$workload"
done
if [ -n "$campaign" ]; then
	generated
fi
exit "$worst"
