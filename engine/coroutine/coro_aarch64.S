/* SPDX-License-Identifier: MIT */
/* Stack switching, AArch64 procedure call standard. See coro.c. */
#if defined(__aarch64__)
	.text

/* void coro_switch(void **parked, void *stack_pointer)
 * Both stacks hold the same twenty words, so the unwind information is right at every
 * instruction. */
	.p2align 4
	.globl	coro_switch
	.hidden	coro_switch
	.type	coro_switch, %function
coro_switch:
	.cfi_startproc
	sub	sp, sp, #160
	.cfi_adjust_cfa_offset 160
	stp	x19, x20, [sp, #0]
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	.cfi_rel_offset x19, 0
	.cfi_rel_offset x20, 8
	.cfi_rel_offset x21, 16
	.cfi_rel_offset x22, 24
	.cfi_rel_offset x23, 32
	.cfi_rel_offset x24, 40
	.cfi_rel_offset x25, 48
	.cfi_rel_offset x26, 56
	.cfi_rel_offset x27, 64
	.cfi_rel_offset x28, 72
	.cfi_rel_offset x29, 80
	.cfi_rel_offset x30, 88
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mov	x9, sp
	str	x9, [x0]
	mov	sp, x1
	ldp	x19, x20, [sp, #0]
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	add	sp, sp, #160
	.cfi_adjust_cfa_offset -160
	.cfi_restore x30
	br	x30
	.cfi_endproc
	.size	coro_switch, .-coro_switch

/* The outermost frame of every coroutine. It has no caller, so an unwinder stops here. The `nop`
 * keeps its first address free: debuggers look one instruction before a return address. */
	.p2align 4
	.globl	coro_first_frame
	.hidden	coro_first_frame
	.type	coro_first_frame, %function
coro_first_frame:
	.cfi_startproc
	.cfi_undefined x30
	nop
	bl	coro_main
	brk	#1
	.cfi_endproc
	.size	coro_first_frame, .-coro_first_frame
#endif
	.section .note.GNU-stack,"",%progbits
