// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// since looks up the release of the kernel's number n, "" for one the table lacks.
func since[T ~uint32](releases []string, n T) string {
	if uint64(n) >= uint64(len(releases)) {
		return ""
	}
	return releases[n]
}

// programTypeReleases are the first releases of Linux with a program type, by
// number: enum bpf_prog_type of their linux/bpf.h.
var programTypeReleases = []string{
	"", "3.19", "4.1", "4.1", "4.1", "4.7", "4.8", "4.9",
	"4.10", "4.10", "4.10", "4.10", "4.10", "4.13", "4.14", "4.15",
	"4.17", "4.17", "4.17", "4.18", "4.18", "4.19",
	"4.20", "5.2", "5.2", "5.3", "5.5",
	"5.6", "5.6", "5.7", "5.9", "5.14", "6.4",
}

// attachTypeReleases are the same for attach types: enum bpf_attach_type. The
// last is in no release this version knows.
var attachTypeReleases = []string{
	"4.10", "4.10", "4.10", "4.13", // cgroup_inet_ingress … cgroup_sock_ops
	"4.14", "4.14", "4.15", "4.17", // sk_skb_stream_parser … sk_msg_verdict
	"4.17", "4.17", "4.17", "4.17", // cgroup_inet4_bind … cgroup_inet6_connect
	"4.17", "4.17", "4.18", "4.18", // cgroup_inet4_post_bind … cgroup_udp6_sendmsg
	"4.18", "4.20", "5.2", "5.2", "5.2", // lirc_mode2 … cgroup_udp6_recvmsg
	"5.3", "5.3", "5.5", "5.5", "5.5", // cgroup_getsockopt … trace_fexit
	"5.7", "5.7", "5.8", "5.8", "5.8", // modify_return … cgroup_inet6_getpeername
	"5.8", "5.8", "5.8", "5.9", // cgroup_inet4_getsockname … cgroup_inet_sock_release
	"5.9", "5.9", "5.9", "5.13", "5.14", // xdp_cpumap … sk_reuseport_select
	"5.14", "5.15", "5.18", "6.0", "6.4", // sk_reuseport_select_or_migrate … struct_ops
	"6.4", "6.6", "6.6", "6.6", "6.7", // netfilter … cgroup_unix_connect
	"6.7", "6.7", "6.7", "6.7", // cgroup_unix_sendmsg … cgroup_unix_getsockname
	"6.7", "6.7", "6.10", "6.13", "", // netkit_primary … trace_fsession
}

// ignoredAttachTypes are those that programs of their section do without: a
// kernel that has no such attach type takes the program all the same (classifiers
// for tcx go to clsact then), since it looks at the attach type of other program
// types only (bpf_prog_load_check_attach of kernel/bpf/syscall.c).
var ignoredAttachTypes = map[string]bool{
	"xdp": true, "sk_reuseport_select": true, "tcx_ingress": true, "tcx_egress": true,
}

// kfuncReleases are the first releases of Linux with a kernel function, by its
// name: those that BTF_ID_FLAGS lists of the releases make callable. Functions
// that changed their name or are internal to one subsystem are left out.
var kfuncReleases = map[string]string{
	// kernel/bpf/helpers.c
	"bpf_obj_new_impl": "6.2", "bpf_obj_drop_impl": "6.2",
	"bpf_list_push_front_impl": "6.4", "bpf_list_push_back_impl": "6.4", "bpf_list_pop_front": "6.2", "bpf_list_pop_back": "6.2",
	"bpf_rbtree_remove": "6.3", "bpf_rbtree_add_impl": "6.4", "bpf_rbtree_first": "6.3", "bpf_refcount_acquire_impl": "6.4",
	"bpf_task_acquire": "6.2", "bpf_task_release": "6.2", "bpf_task_from_pid": "6.2", "bpf_task_under_cgroup": "6.5",
	"bpf_cgroup_acquire": "6.2", "bpf_cgroup_release": "6.2", "bpf_cgroup_ancestor": "6.2", "bpf_cgroup_from_id": "6.4",
	"bpf_cast_to_kern_ctx": "6.2", "bpf_rdonly_cast": "6.2", "bpf_rcu_read_lock": "6.2", "bpf_rcu_read_unlock": "6.2",
	"bpf_dynptr_slice": "6.4", "bpf_dynptr_slice_rdwr": "6.4", "bpf_dynptr_adjust": "6.5", "bpf_dynptr_is_null": "6.5",
	"bpf_dynptr_is_rdonly": "6.5", "bpf_dynptr_size": "6.5", "bpf_dynptr_clone": "6.5",
	"bpf_iter_num_new": "6.4", "bpf_iter_num_next": "6.4", "bpf_iter_num_destroy": "6.4",
	"bpf_iter_task_new": "6.7", "bpf_iter_task_next": "6.7", "bpf_iter_task_destroy": "6.7",
	"bpf_iter_task_vma_new": "6.7", "bpf_iter_task_vma_next": "6.7", "bpf_iter_task_vma_destroy": "6.7",
	"bpf_iter_css_new": "6.7", "bpf_iter_css_next": "6.7", "bpf_iter_css_destroy": "6.7",
	"bpf_throw": "6.7", "bpf_preempt_disable": "6.10", "bpf_preempt_enable": "6.10",
	"bpf_wq_init": "6.10", "bpf_wq_set_callback_impl": "6.10", "bpf_wq_start": "6.10",
	"bpf_session_is_return": "6.10", "bpf_session_cookie": "6.10",
	"bpf_percpu_obj_new_impl": "6.7", "bpf_percpu_obj_drop_impl": "6.7", "bpf_task_get_cgroup1": "6.8",
	"bpf_iter_css_task_new": "6.7", "bpf_iter_css_task_next": "6.7", "bpf_iter_css_task_destroy": "6.7",
	// kernel/bpf/cpumask.c
	"bpf_cpumask_create": "6.3", "bpf_cpumask_acquire": "6.3", "bpf_cpumask_release": "6.3", "bpf_cpumask_copy": "6.3",
	"bpf_cpumask_first": "6.3", "bpf_cpumask_first_zero": "6.3", "bpf_cpumask_first_and": "6.5",
	"bpf_cpumask_any_distribute": "6.5", "bpf_cpumask_any_and_distribute": "6.5", "bpf_cpumask_weight": "6.8",
	"bpf_cpumask_set_cpu": "6.3", "bpf_cpumask_clear_cpu": "6.3", "bpf_cpumask_test_cpu": "6.3",
	"bpf_cpumask_test_and_set_cpu": "6.3", "bpf_cpumask_test_and_clear_cpu": "6.3", "bpf_cpumask_setall": "6.3", "bpf_cpumask_clear": "6.3",
	"bpf_cpumask_and": "6.3", "bpf_cpumask_or": "6.3", "bpf_cpumask_xor": "6.3", "bpf_cpumask_equal": "6.3", "bpf_cpumask_intersects": "6.3",
	"bpf_cpumask_subset": "6.3", "bpf_cpumask_empty": "6.3", "bpf_cpumask_full": "6.3",
	// kernel/bpf/crypto.c, kernel/bpf/map_iter.c
	"bpf_crypto_ctx_create": "6.10", "bpf_crypto_ctx_acquire": "6.10", "bpf_crypto_ctx_release": "6.10",
	"bpf_crypto_encrypt": "6.10", "bpf_crypto_decrypt": "6.10", "bpf_map_sum_elem_count": "6.6",
	// kernel/trace/bpf_trace.c
	"bpf_lookup_user_key": "6.1", "bpf_lookup_system_key": "6.1", "bpf_key_put": "6.1", "bpf_verify_pkcs7_signature": "6.1",
	"bpf_get_file_xattr": "6.8", "bpf_get_fsverity_digest": "6.8",
	// kernel/bpf/arena.c
	"bpf_arena_alloc_pages": "6.9", "bpf_arena_free_pages": "6.9",
	// net/core/filter.c, net/core/xdp.c
	"bpf_dynptr_from_skb": "6.4", "bpf_dynptr_from_xdp": "6.4", "bpf_sock_addr_set_sun_path": "6.7", "bpf_sock_destroy": "6.5",
	"bpf_xdp_metadata_rx_timestamp": "6.3", "bpf_xdp_metadata_rx_hash": "6.3", "bpf_xdp_metadata_rx_vlan_tag": "6.8",
	// net/ipv4/fou_bpf.c, net/xfrm/xfrm_interface_bpf.c, net/xfrm/xfrm_state_bpf.c
	"bpf_skb_set_fou_encap": "6.4", "bpf_skb_get_fou_encap": "6.4", "bpf_skb_get_xfrm_info": "6.2", "bpf_skb_set_xfrm_info": "6.2",
	"bpf_xdp_get_xfrm_state": "6.8", "bpf_xdp_xfrm_state_release": "6.8",
	// net/netfilter/nf_conntrack_bpf.c, net/netfilter/nf_nat_bpf.c
	"bpf_ct_set_nat_info": "6.1",
	"bpf_xdp_ct_lookup":   "5.18", "bpf_skb_ct_lookup": "5.18", "bpf_ct_release": "5.18",
	"bpf_xdp_ct_alloc": "6.0", "bpf_skb_ct_alloc": "6.0", "bpf_ct_insert_entry": "6.0", "bpf_ct_set_timeout": "6.0",
	"bpf_ct_change_timeout": "6.0", "bpf_ct_set_status": "6.0", "bpf_ct_change_status": "6.0",
}
