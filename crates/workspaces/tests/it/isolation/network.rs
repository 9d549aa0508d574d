use super::{Attempt, check, held};

#[tokio::test]
async fn nobody_is_reached_over_a_socket() {
    check(&contacts()).await;
}

pub(super) fn contacts() -> Vec<Attempt> {
    vec![
        held(
            "n-tcp4",
            "perl -MSocket -e 'socket(S, AF_INET, SOCK_STREAM, 0) and connect(S, sockaddr_in(@TCP@, inet_aton(\"127.0.0.1\"))) or die $!'",
            |w, _| w.was_connected(),
        ),
        held(
            "n-tcp6",
            "perl -MSocket=:all -e 'socket(S, AF_INET6, SOCK_STREAM, 0) and connect(S, sockaddr_in6(@TCP6@, inet_pton(AF_INET6, \"::1\"))) or die $!'",
            |w, _| w.was_connected(),
        ),
        held(
            "n-udp",
            "perl -MSocket -e 'socket(S, AF_INET, SOCK_DGRAM, 0) and send(S, \"x\", 0, sockaddr_in(@UDP@, inet_aton(\"127.0.0.1\"))) or die $!'",
            |w, _| w.was_sent_a_datagram(),
        ),
        held(
            "n-fastopen",
            "perl -MSocket -e 'socket(S, AF_INET, SOCK_STREAM, 0) and send(S, \"x\", 0x20000000, sockaddr_in(@TCP@, inet_aton(\"127.0.0.1\"))) or die $!'",
            |w, _| w.was_connected(),
        ),
        held(
            "n-listen",
            "perl -MSocket -e 'socket(S, AF_INET, SOCK_STREAM, 0) and bind(S, sockaddr_in(0, INADDR_ANY)) and listen(S, 1) and print \"heard\"'",
            |_, o| o == "heard",
        ),
        held(
            "n-unix",
            "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) and connect(S, sockaddr_un(\"@OUT@/socket\")) or die $!'",
            |w, _| w.was_connected(),
        ),
        held(
            "n-unix-symlink",
            "ln -s @OUT@/socket l; perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) and connect(S, sockaddr_un(\"l\")) or die $!'",
            |w, _| w.was_connected(),
        ),
        held(
            "n-unix-dgram",
            "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_DGRAM, 0) and send(S, \"x\", 0, sockaddr_un(\"@OUT@/datagrams\")) or die $!'",
            |w, _| w.was_sent_a_datagram(),
        ),
        held(
            "n-agent-env",
            "export SSH_AUTH_SOCK=@OUT@/socket; perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) and connect(S, sockaddr_un($ENV{SSH_AUTH_SOCK})) or die $!'",
            |w, _| w.was_connected(),
        ),
        held(
            "n-abstract",
            "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) and connect(S, pack(\"Sa*\", AF_UNIX, \"\\0@TOKEN@\")) or die $!'",
            |w, _| w.was_connected(),
        ),
    ]
}

#[tokio::test]
async fn other_kinds_of_sockets_are_closed() {
    check(&families()).await;
}

#[tokio::test]
async fn doors_that_take_more_than_a_user_are_closed() {
    check(&raw()).await;
}

pub(super) fn raw() -> Vec<Attempt> {
    vec![
        held(
            "n-packet",
            "perl -e 'socket(S, 17, 3, 0) and print \"open\"'",
            |_, o| o == "open",
        )
        .of_root(),
        // A socket of IPv4 by the 32-bit gate.
        #[cfg(target_arch = "x86_64")]
        held(
            "n-int80",
            super::escalation::by_32_bit_gate([359, 2, 1, 0]),
            |_, o| o == "reached",
        ),
    ]
}

pub(super) fn families() -> Vec<Attempt> {
    // Netlink, the kernel's ciphers; MPTCP and VSOCK where the machine has them have no control
    // that works everywhere.
    vec![
        held(
            "n-netlink",
            "perl -e 'socket(S, 16, 3, 0) and print \"open\"'",
            |_, o| o == "open",
        ),
        held(
            "n-alg",
            "perl -e 'socket(S, 38, 5, 0) and print \"open\" or $!{EAFNOSUPPORT} and print \"open\"'",
            |_, o| o == "open",
        ),
        held(
            "n-mptcp",
            "perl -e 'socket(S, 2, 1, 262) or $!{EPROTONOSUPPORT} or exit; print \"open\"'",
            |_, o| o == "open",
        ),
        held(
            "n-vsock",
            "perl -e 'socket(S, 40, 1, 0) or $!{EAFNOSUPPORT} or exit; print \"open\"'",
            |_, o| o == "open",
        ),
    ]
}
