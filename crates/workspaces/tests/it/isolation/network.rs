use super::{check, held};

#[tokio::test]
async fn nobody_is_reached_over_a_socket() {
    check(&[
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
            "n-abstract",
            "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) and connect(S, pack(\"Sa*\", AF_UNIX, \"\\0@TOKEN@\")) or die $!'",
            |w, _| w.was_connected(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn other_kinds_of_sockets_are_closed() {
    // Netlink, the kernel's ciphers; MPTCP and VSOCK where the machine has them have no control
    // that works everywhere.
    check(&[
        held("n-netlink", "perl -e 'socket(S, 16, 3, 0) and print \"open\"'", |_, o| o == "open"),
        held("n-alg", "perl -e 'socket(S, 38, 5, 0) and print \"open\" or $!{EAFNOSUPPORT} and print \"open\"'", |_, o| o == "open"),
        held("n-mptcp", "perl -e 'socket(S, 2, 1, 262) or $!{EPROTONOSUPPORT} or exit; print \"open\"'", |_, o| o == "open"),
        held("n-vsock", "perl -e 'socket(S, 40, 1, 0) or $!{EAFNOSUPPORT} or exit; print \"open\"'", |_, o| o == "open"),
    ])
    .await;
}
