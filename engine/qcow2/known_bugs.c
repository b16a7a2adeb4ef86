// SPDX-License-Identifier: MIT
/* Each bug is one line where the mistake was, or could be, made: grep for KNOWN_BUG. "Proposal" is
 * the patch "qcow2: Cancel COW when overwritten" (qemu-devel, 18 September 2012); "reconstruction"
 * is how we believe the unmerged patches below it worked. */
#include "engine/qcow2/known_bugs.h"

#include <assert.h>

static const struct known_bug bugs[] = {
	{ "int32-host-offset",
	  "a child's host offset is cut to 32 bits: above 4 GiB its data overwrites other clusters",
	  "cow-complete", "beyond-4g", "proposal: start_of_cluster() returned int", true },
	{ "leak-hold",
	  "a child whose data write fails never releases its hold of the parent: the next flush "
	  "hangs",
	  "progress", "child-fails", "proposal: error path of the data write", true },
	{ "no-restore",
	  "a child whose data write fails releases its parent, but nobody copies the range it had "
	  "taken",
	  "cow-complete", "child-fails", "the obvious repair of leak-hold", false },
	{ "parent-dies",
	  "an allocation whose data write fails is freed although a child lives in its cluster",
	  "progress", "parent-fails", "proposal: error path of the data write", true },
	{ "kick-not-up", "who waits for a child does not wake its sleeping ancestors: it hangs",
	  "progress", "rewrite-child", "proposal, under our reconstruction", true },
	{ "kick-not-down", "who waits for a parent does not wake its sleeping children: it hangs",
	  "progress", "rewrite-parent", "proposal, under our reconstruction", true },
	{ "late-child",
	  "a child that attaches to an allocation already hurried goes to sleep: the root waits "
	  "for it",
	  "progress", "late-child", "proposal, under our reconstruction", true },
	{ "sync-kick",
	  "between the kick of an allocation and the wait for it, it may finish and be freed",
	  "progress", "kick-finishes", "proposal, under our reconstruction", true },
	{ "unlock-yield",
	  "between releasing its parent and queueing behind it a child yields: the parent is gone",
	  "progress", "late-child", "the condition that the proposal's comment states", false },
	{ "zero-no-wait",
	  "write-zeroes does not wait for allocations in flight: their data comes back later",
	  "read-linearizable", "zero-overlap", "proposal, under our reconstruction", true },
	{ "discard-no-wait",
	  "discard does not wait for allocations in flight: their data comes back later",
	  "read-linearizable", "discard-overlap", "proposal, under our reconstruction", true },
	{ "snapshot-no-drain",
	  "an internal snapshot is taken without finishing allocations in flight", "flush-durable",
	  "snapshot-overlap", "proposal, under our reconstruction", true },
	{ "close-no-drain", "close does not finish sleeping allocations: acknowledged data is lost",
	  "flush-durable", "tail-cancelled", "proposal, under our reconstruction", false },
	{ "read-early",
	  "a read is sent to a new cluster before the data that it should return is written there",
	  "read-linearizable", "read-in-flight", "an obligation on the patches below the proposal",
	  false },
	{ "read-run",
	  "a read does not stop where an allocation in flight begins, and returns old data beyond",
	  "read-linearizable", "read-across", "an obligation on the patches below the proposal",
	  false },
	{ "no-final",
	  "a child attaches to a tail whose copy has begun: the copy overwrites the child's data",
	  "flush-durable", "late-child", "a line that the proposal has: final", false },
	{ "no-align",
	  "a child attaches to a tail that was shortened before: its own tail COW overwrites a "
	  "neighbour",
	  "flush-durable", "three-in-a-cluster",
	  "a line that the proposal has: the end-of-cluster test", false },
	{ "no-rwlock", "a root links while its children's data and COW are on their way",
	  "cow-complete", "late-child", "a line that the proposal has: the reader/writer lock",
	  false },
	{ "kick-any",
	  "a kick enters a task that does not sleep: one that waits for something else, or none "
	  "yet",
	  "progress", "rewrite-parent", "a line that the proposal has: the test of `sleeping`",
	  false },
	{ "holds-not-children",
	  "a root whose data write fails counts its children's holds: a child that is done has "
	  "none, "
	  "and its data is dropped with the root",
	  "error-contained", "child-outlives-parent", "this engine, until faults were enumerated",
	  false },
	{ "flush-forgets",
	  "a flush of the file that failed is forgotten: the next one succeeds, and what the first "
	  "should have made durable may be lost",
	  "error-contained", "flush-fails", "3ff2f67a7c (2016-07-18), mended by e6af1e0854",
	  false },

	/* Lazy refcounts, the dirty bit, and repair. */
	{ "clean-before-refcounts",
	  "close clears the dirty bit after a flush that leaves refcounts out because it is set",
	  "refcount-covers", "lazy-dirty-first", "QEMU before commit 4c2e5f8f46 of 2014-04-03",
	  false },
	{ "clean-despite-error",
	  "close clears the dirty bit although refcounts could not be written", "refcount-covers",
	  "lazy-write-fails", "QEMU before commit 3b5e14c76a of 2014-12-02", false },
	{ "repair-keeps-leaks", "repair raises refcounts that are too low, and lowers none",
	  "repair-converges", "lazy-discard", "QEMU before commit 5b84106bd9 of 2014-10-22",
	  false },
	{ "repair-no-copied", "repair makes refcounts exact and leaves COPIED flags as they are",
	  "repair-converges", "lazy-snapshot", "an obligation on repair: O11", false },
	{ "repair-clean-first", "repair clears the dirty bit before it writes refcounts",
	  "repair-converges", "lazy-dirty-first", "an obligation on repair: O12", false },
	{ "repair-no-flush",
	  "repair clears the dirty bit without a flush before: the bit may overtake the refcounts",
	  "repair-converges", "lazy-dirty-first", "an obligation on repair: O12", false },
};

size_t known_bug_count(void)
{
	return sizeof(bugs) / sizeof(bugs[0]);
}

const struct known_bug *known_bug_at(size_t index)
{
	assert(index < known_bug_count());
	return &bugs[index];
}
