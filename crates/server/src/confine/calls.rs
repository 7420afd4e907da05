//! Which system calls the server may not make from now on (seccomp, see seccomp(2)).
//!
//! A list of what is refused, not of what is allowed: a call that a new C library or kernel uses for something ordinary and that is missing from an
//! allow-list would end mail service on that system, while what an intruder wants is known: to start programs, to look into others, to
//! load code into the kernel, to change the system, to get other rights. It gets EPERM, as from a kernel that does not permit it, so the
//! server never dies of it. What a list of refusals cannot do is in docs/security.md.

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
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

/// The namespaces that clone(2) can make; the one for times has no flag there.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Puts the filter in force for this thread and all that it starts.
pub(super) fn restrict() -> Result<String, Error> {
    let Ok(architecture) = std::env::consts::ARCH.try_into() else {
        return Ok("not restricted, this processor is not known".to_owned());
    };
    let filter: BpfProgram =
        SeccompFilter::new(rules()?, SeccompAction::Allow, REFUSAL, architecture)?.try_into()?;
    if cfg!(target_arch = "x86_64") {
        seccompiler::apply_filter(&other_numbers())?;
    }
    seccompiler::apply_filter(&filter)?;
    Ok(format!("{} refused (seccomp)", REFUSED.len() + REFUSED_HERE.len()))
}

const REFUSAL: SeccompAction = SeccompAction::Errno(libc::EPERM as u32);

/// Refuses every call by its number in the x32 ABI, which a kernel for x86-64 may take beside its own: the same calls under numbers that the
/// list does not have.
fn other_numbers() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        // BPF_LD | BPF_W | BPF_ABS: the number, which stands first in seccomp_data.
        step(0x20, 0, 0, 0),
        // BPF_JMP | BPF_JSET | BPF_K
        step(0x45, 0, 1, X32),
        // BPF_RET | BPF_K, twice.
        step(0x06, 0, 0, REFUSAL.into()),
        step(0x06, 0, 0, SeccompAction::Allow.into()),
    ]
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
    let one_of =
        |flag: i32| SeccompRule::new(vec![condition(0, SeccompCmpOp::MaskedEq(flag as u64), flag as u64)?]);
    rules.insert(libc::SYS_clone, NAMESPACES.into_iter().map(one_of).collect::<Result<_, _>>()?);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filters say of a call, as the kernel would run them: each is asked, and a refusal counts more than a permission.
    fn verdict(number: i64, arguments: [u64; 3]) -> u32 {
        let architecture = std::env::consts::ARCH.try_into().expect("a known processor");
        let filter = SeccompFilter::new(rules().expect("rules"), SeccompAction::Allow, REFUSAL, architecture);
        let filter: BpfProgram = filter.expect("a filter").try_into().expect("a program");
        // struct seccomp_data: the number, the architecture, where the call comes from, and six arguments.
        let mut data = (number as u32).to_ne_bytes().to_vec();
        // The filter asks for the architecture in its second step.
        data.extend(filter[1].k.to_ne_bytes());
        data.extend([0; 8]);
        arguments.iter().chain(&[0; 3]).for_each(|argument| data.extend(argument.to_ne_bytes()));
        let verdicts = [run(&filter, &data), run(&other_numbers(), &data)];
        let allowed = u32::from(SeccompAction::Allow);
        verdicts.into_iter().find(|verdict| *verdict != allowed).unwrap_or(allowed)
    }

    /// A machine for the instructions that filters consist of (classic BPF).
    fn run(program: &[sock_filter], data: &[u8]) -> u32 {
        let (mut at, mut accumulator) = (0, 0u32);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let mut jump = |is_met: bool| at += usize::from(if is_met { jt } else { jf });
            match code {
                0x20 => {
                    let word = &data[k as usize..][..4];
                    accumulator = u32::from_ne_bytes(word.try_into().expect("four octets"));
                }
                0x54 => accumulator &= k,
                0x05 => at += k as usize,
                0x15 => jump(accumulator == k),
                0x25 => jump(accumulator > k),
                0x35 => jump(accumulator >= k),
                0x45 => jump(accumulator & k != 0),
                0x06 => return k,
                other => panic!("an instruction {other:#x} that filters do not have"),
            }
        }
    }

    #[test]
    fn what_an_intruder_wants_is_refused_and_nothing_else() {
        let (refused, allowed) = (u32::from(REFUSAL), u32::from(SeccompAction::Allow));
        for call in REFUSED.iter().chain(REFUSED_HERE) {
            assert_eq!(verdict(*call, [0; 3]), refused, "{call}");
        }
        let thread = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND;
        let thread = (thread | libc::CLONE_THREAD | libc::CLONE_SETTLS) as u64;
        let all = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as u64;
        for (call, arguments, expected) in [
            (libc::SYS_read, [0; 3], allowed),
            (libc::SYS_socket, [libc::AF_INET6 as u64, 1, 0], allowed),
            (libc::SYS_socket, [libc::AF_NETLINK as u64, 1, 0], allowed),
            (libc::SYS_socket, [libc::AF_PACKET as u64, 1, 0], refused),
            (libc::SYS_socket, [libc::AF_VSOCK as u64, 1, 0], refused),
            (libc::SYS_socket, [libc::AF_ALG as u64, 1, 0], refused),
            (libc::SYS_mmap, [0, 4096, (libc::PROT_READ | libc::PROT_WRITE) as u64], allowed),
            (libc::SYS_mmap, [0, 4096, (libc::PROT_READ | libc::PROT_EXEC) as u64], allowed),
            (libc::SYS_mmap, [0, 4096, all], refused),
            (libc::SYS_mprotect, [0, 4096, all], refused),
            (libc::SYS_pkey_mprotect, [0, 4096, all], refused),
            (libc::SYS_clone, [thread, 0, 0], allowed),
            (libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0], allowed),
        ] {
            assert_eq!(verdict(call, arguments), expected, "{call} {arguments:?}");
        }
        for namespace in NAMESPACES {
            let flags = (namespace | libc::SIGCHLD) as u64;
            assert_eq!(verdict(libc::SYS_clone, [flags, 0, 0]), refused, "{namespace:#x}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_call_is_not_allowed_under_its_other_number() {
        for call in [libc::SYS_execve, libc::SYS_ptrace, libc::SYS_socket, libc::SYS_read] {
            assert_eq!(verdict(call | 0x4000_0000, [0; 3]), u32::from(REFUSAL), "{call}");
        }
    }
}
