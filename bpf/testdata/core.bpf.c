// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Asks the kernel's types for everything a CO-RE relocation can ask for, and
// writes the answers down: run with `bpf_prog_test_run`, at no event.

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct___mine {
	unsigned long total_vm;
};

struct task_struct {
	int pid;
	int tgid;
	char comm[16];
	struct task_struct *group_leader;
	struct mm_struct___mine *mm;
};

/* A flavour no kernel has, and a field no kernel has. */
struct task_struct___older {
	int no_such_field;
};

/* Bit fields. */
struct sk_buff {
	unsigned char cloned : 1;
	unsigned int len;
};

/* Fields inside of members without name. */
struct page {
	unsigned long flags;
	void *mapping;
};

struct no_such_type {
	int x;
};
#pragma clang attribute pop

typedef int pid_t;

enum bpf_map_type___mine {
	BPF_MAP_TYPE_HASH___mine = 1,
};

enum no_such_enum {
	NO_SUCH_VALUE = 1,
};

/* The answers, in the order of the lines of ask. */
__u64 answers[18];

/* The thread group of whoever runs the program, read through the task. */
__u32 tgid;
char comm[16];

SEC("syscall")
int ask(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___older *older = (void *)task;
	struct sk_buff *skb = 0;

	tgid = BPF_CORE_READ(task, group_leader, tgid);
	bpf_core_read_str(comm, sizeof(comm), &task->comm);

	answers[0] = bpf_core_field_offset(task->tgid);
	answers[1] = bpf_core_field_size(task->comm);
	answers[2] = bpf_core_field_exists(task->group_leader);
	answers[3] = bpf_core_field_exists(older->no_such_field);
	answers[4] = __builtin_preserve_field_info(task->pid, BPF_FIELD_SIGNED);
	answers[5] = __builtin_preserve_field_info(skb->cloned, BPF_FIELD_LSHIFT_U64);
	answers[6] = __builtin_preserve_field_info(skb->cloned, BPF_FIELD_RSHIFT_U64);
	answers[7] = __builtin_preserve_field_info(skb->cloned, BPF_FIELD_BYTE_OFFSET);
	answers[8] = bpf_core_type_exists(struct task_struct);
	answers[9] = bpf_core_type_size(struct task_struct);
	answers[10] = bpf_core_type_exists(struct no_such_type);
	answers[11] = bpf_core_type_exists(pid_t);
	answers[12] = bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_HASH___mine);
	answers[13] = bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_HASH___mine);
	answers[14] = bpf_core_enum_value_exists(enum no_such_enum, NO_SUCH_VALUE);
	answers[15] = bpf_core_field_offset(struct page, mapping);
	answers[16] = bpf_core_field_exists(task->mm->total_vm);
	answers[17] = bpf_core_field_size(struct page, mapping);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
