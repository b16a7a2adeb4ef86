/* SPDX-License-Identifier: MIT */
/* Stack switching, x86-64 System V. See coro.c. */
#if defined(__x86_64__)
	.text

/* void coro_switch(void **parked, void *stack_pointer)
 * Both stacks hold the same seven words, so the unwind information is right at every instruction.
 * The jump through a register, not `ret`, keeps the return-address predictor from going astray. */
	.p2align 4
	.globl	coro_switch
	.hidden	coro_switch
	.type	coro_switch, @function
coro_switch:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rcx
	jmp	*%rcx
	.cfi_endproc
	.size	coro_switch, .-coro_switch

/* The outermost frame of every coroutine. It has no caller, so an unwinder stops here. The `nop`
 * keeps its first address free: debuggers look one byte before a return address. */
	.p2align 4
	.globl	coro_first_frame
	.hidden	coro_first_frame
	.type	coro_first_frame, @function
coro_first_frame:
	.cfi_startproc
	.cfi_undefined rip
	nop
	call	coro_main
	ud2
	.cfi_endproc
	.size	coro_first_frame, .-coro_first_frame
#endif
	.section .note.GNU-stack,"",@progbits
