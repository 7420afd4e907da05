//! Which system calls the server may not make from now on (seccomp, see seccomp(2)).
//!
//! A list of what is refused, not of what is allowed: a call that a new C library or kernel uses for something ordinary and that is missing from an
//! allow-list would end mail service on that system, while what an intruder wants is known: to start programs, to look into others, to
//! load code into the kernel, to change the system, to get other rights. It gets EPERM, as from a kernel that does not permit it, so the
//! server never dies of it. What a list of refusals cannot do is in docs/security.md.

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;

/// Refused whatever their arguments are.
const REFUSED: &[i64] = &[
    // To run another program.
    libc::SYS_execve,
    libc::SYS_execveat,
    // To look into or drive another process.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_perf_event_open,
    // To put code into the kernel, or to use what has often been broken in it.
    libc::SYS_bpf,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // To see another system of files, or to go round the rules on files.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_mknodat,
    libc::SYS_unshare,
    libc::SYS_setns,
    // To get other rights.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    // To change the system.
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
];

/// Those of one architecture only.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_mknod,
    libc::SYS_uselib,
    libc::SYS__sysctl,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// The families of sockets that a server uses: Unix, IPv4, IPv6, and the one by which the C library asks for this host's addresses.
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Puts the filter in force for this thread and all that it starts.
pub(super) fn restrict() -> Result<String, Error> {
    let Ok(architecture) = std::env::consts::ARCH.try_into() else {
        return Ok("not restricted, this processor is not known".to_owned());
    };
    let filter: BpfProgram = SeccompFilter::new(
        rules()?,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        architecture,
    )?
    .try_into()?;
    seccompiler::apply_filter(&filter)?;
    Ok(format!("{} refused (seccomp)", REFUSED.len() + REFUSED_HERE.len()))
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, Error> {
    let condition = |argument, operation, value: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, value)
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().chain(REFUSED_HERE).map(|call| (*call, Vec::new())).collect();
    // socket(2) of any other family: they lead to rarely used and often broken parts of the kernel.
    let none_of_ours = FAMILIES
        .iter()
        .map(|family| condition(0, SeccompCmpOp::Ne, *family as u64))
        .collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(none_of_ours)?]);
    // Memory that can be written and run: nothing here makes code, only intruders do.
    let both = (libc::PROT_WRITE | libc::PROT_EXEC) as u64;
    for call in [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
        let written_and_run = condition(2, SeccompCmpOp::MaskedEq(both), both)?;
        rules.insert(call, vec![SeccompRule::new(vec![written_and_run])?]);
    }
    Ok(rules)
}
