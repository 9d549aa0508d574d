//! The filter on system calls.
//!
//! Two filters work together; the kernel takes the stricter answer. One names what is denied
//! (the lists below). The other says "no such call" to every number above the last one that this code
//! knows, so that calls of newer kernels, and those of the x32 interface, are closed until
//! somebody has looked at them. Another processor's calls (32-bit programs) end the process.

use std::collections::BTreeMap;

use nix::libc::{self, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

/// What is open to the command besides files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    /// The network of the machine.
    pub(crate) network: bool,
    /// Unix sockets: only where no socket of others can be reached.
    pub(crate) unix_sockets: bool,
    /// System V IPC and message queues: only where they are the command's own.
    pub(crate) ipc: bool,
}

/// The last system call that was looked at: `removexattrat`, of Linux 6.13. The numbers of new
/// calls are the same on every processor.
const LAST_KNOWN: u32 = 466;

/// Denied whatever the arguments are.
const ALWAYS: [c_long; 52] = [
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Ways around this filter, and parts of the kernel with a long history of faults.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    // Keys of the user's session.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Mounts and other namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // Files by number instead of by path.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // The machine itself.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
];

/// Denied on this processor alone.
#[cfg(target_arch = "x86_64")]
const OF_PROCESSOR: [c_long; 4] = [
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_kexec_file_load,
];
#[cfg(not(target_arch = "x86_64"))]
const OF_PROCESSOR: [c_long; 0] = [];

const IPC: [c_long; 14] = [
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_shmdt,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semctl,
    libc::SYS_semtimedop,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// New namespaces by `clone`, as bits of its flags. (That of time namespaces means something else
/// there; only `clone3` and `unshare` make them.)
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// How the processor is shared out; 0 is the caller itself.
const SCHEDULING: [c_long; 3] = [
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
];

/// All processes of a user, in `ioprio_set`: `IOPRIO_WHO_USER`.
const IO_OF_USER: u64 = 3;

/// Requests on a terminal that type into it: `TIOCSTI` and `TIOCLINUX`.
const TYPING: [u64; 2] = [0x5412, 0x541C];

/// Address families beside unix sockets that the network needs: IPv4, IPv6, and the kernel's
/// list of addresses and routes.
const NETWORK: [i32; 3] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Puts the filters on this process and all that it starts. They can't be taken off.
pub(crate) fn put_on(open: Open) -> Result<String, String> {
    let rules = rules(open).map_err(|error| error.to_string())?;
    let count = rules.len();
    let denied = compile(rules).map_err(|error| error.to_string())?;
    for program in [&numbers(), &denied] {
        apply_filter(program).map_err(|error| error.to_string())?;
    }
    let sockets = match (open.network, open.unix_sockets) {
        (true, true) => "internet and unix sockets open",
        (true, false) => "internet sockets open",
        (false, true) => "unix sockets only",
        (false, false) => "no sockets",
    };
    Ok(format!("{count} calls denied, {sockets}"))
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Compiled<T> = Result<T, seccompiler::BackendError>;

/// What is denied: a call without rules always, else when one of its rules fits.
fn rules(open: Open) -> Compiled<Rules> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let mut rules: Rules = ALWAYS
        .iter()
        .chain(&OF_PROCESSOR)
        .chain(if open.ipc { &[] } else { IPC.as_slice() })
        .map(|number| (*number, Vec::new()))
        .collect();
    let mut when = |number: c_long, conditions: Vec<SeccompCondition>| {
        let rule = SeccompRule::new(conditions)?;
        rules.entry(number).or_default().push(rule);
        Ok(())
    };
    for flag in NAMESPACES.map(bits) {
        when(libc::SYS_clone, vec![argument(0, MaskedEq(flag), flag)?])?;
    }
    for request in TYPING {
        when(libc::SYS_ioctl, vec![argument(1, Eq, request)?])?;
    }
    // Limits and priorities of others; 0 is the caller itself.
    when(libc::SYS_prlimit64, vec![argument(0, Ne, 0)?])?;
    when(libc::SYS_setpriority, vec![argument(1, Ne, 0)?])?;
    when(
        libc::SYS_setpriority,
        vec![argument(0, Eq, u64::from(libc::PRIO_USER))?],
    )?;
    for scheduling in SCHEDULING {
        when(scheduling, vec![argument(0, Ne, 0)?])?;
    }
    when(libc::SYS_ioprio_set, vec![argument(1, Ne, 0)?])?;
    when(libc::SYS_ioprio_set, vec![argument(0, Eq, IO_OF_USER)?])?;
    let families = allowed_families(open);
    let other = families.iter().map(|family| argument(0, Ne, bits(*family)));
    let other = other.collect::<Compiled<Vec<_>>>()?;
    if other.is_empty() {
        rules.insert(libc::SYS_socket, Vec::new());
    } else {
        when(libc::SYS_socket, other)?;
    }
    Ok(rules)
}

fn allowed_families(open: Open) -> Vec<i32> {
    let unix = open.unix_sockets.then_some(libc::AF_UNIX);
    let network = open.network.then_some(NETWORK).into_iter().flatten();
    unix.into_iter().chain(network).collect()
}

/// The kernel reads the low half of these arguments only, and so does the filter.
fn argument(index: u8, operator: SeccompCmpOp, value: u64) -> Compiled<SeccompCondition> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

/// A flag of the C library as the bits that the kernel sees.
fn bits(flag: i32) -> u64 {
    u64::from(flag.cast_unsigned())
}

fn compile(rules: Rules) -> Compiled<BpfProgram> {
    let target: TargetArch = std::env::consts::ARCH.try_into()?;
    let denied = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, denied, target)?.try_into()
}

/// "No such call" for what came after [`LAST_KNOWN`] and for `clone3`, whose flags are in memory,
/// where a filter can't read them: the C library then uses `clone`.
fn numbers() -> BpfProgram {
    /// Loads the call's number, which is the first field of what a filter sees.
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_GREATER: u16 = 0x25;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let clone3 = u32::try_from(libc::SYS_clone3).unwrap_or(u32::MAX);
    let no_such_call = u32::from(SeccompAction::Errno(libc::ENOSYS.cast_unsigned()));
    vec![
        step(LOAD, 0, 0, 0),
        step(JUMP_IF_GREATER, 2, 0, LAST_KNOWN),
        step(JUMP_IF_EQUAL, 1, 0, clone3),
        step(RETURN, 0, 0, u32::from(SeccompAction::Allow)),
        step(RETURN, 0, 0, no_such_call),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: Open = Open {
        network: false,
        unix_sockets: false,
        ipc: false,
    };

    #[test]
    fn sockets_are_open_as_far_as_they_are_granted() {
        let families = |network, unix_sockets| {
            allowed_families(Open {
                network,
                unix_sockets,
                ipc: true,
            })
        };
        assert_eq!(families(false, false), [] as [i32; 0]);
        assert_eq!(families(false, true), [libc::AF_UNIX]);
        let all = [
            libc::AF_UNIX,
            libc::AF_INET,
            libc::AF_INET6,
            libc::AF_NETLINK,
        ];
        assert_eq!(families(true, true), all);
        assert_eq!(families(true, false), all[1..]);
    }

    #[test]
    fn every_filter_compiles_and_names_each_call_once() {
        for (open, more) in [
            (CLOSED, IPC.len()),
            (
                Open {
                    ipc: true,
                    ..CLOSED
                },
                0,
            ),
            (
                Open {
                    network: true,
                    ..CLOSED
                },
                IPC.len(),
            ),
        ] {
            let rules = rules(open).unwrap();
            // Beside the lists: clone, ioctl, prlimit64, setpriority, ioprio_set, socket.
            let lists = ALWAYS.len() + OF_PROCESSOR.len() + SCHEDULING.len();
            assert_eq!(rules.len(), lists + 6 + more);
            assert!(!compile(rules).unwrap().is_empty());
        }
    }
}
