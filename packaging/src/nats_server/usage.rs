//! What `-h` prints.

/// All flags, in the order of nats-server's own list.
pub(super) fn usage(program: &str) -> String {
    format!(
        "
Usage: {program} [options]

Server:
    -a, --addr, --net HOST           Address to listen on (0.0.0.0)
    -p, --port PORT                  Port for clients (4222; -1 takes a free one)
    -n, --name, --server_name NAME   Name of the server (its id)
    -P, --pid FILE                   Write the process id to a file
    -m, --http_port PORT             Port for monitoring over HTTP
    -ms, --https_port PORT           Port for monitoring over HTTPS
    -c, --config FILE                Configuration file, in nats-server's form
    -t                               Check the configuration file and exit
    -sl, --signal COMMAND[=PID]      Send a signal to a running server: ldm, stop, quit, term, reopen or reload;
                                     PID is a number or a file that holds it
    --client_advertise HOST:PORT     Address that clients are told
    --ports_file_dir DIR             Write the ports that were taken to <program>_<pid>.ports
    --max_payload BYTES              Largest message

Log:
    -l, --log FILE                   Log to a file instead of standard error
    -T, --logtime                    Time in each line (true)
    --logtime_utc                    Times are UTC
    -s, --syslog                     Log to the system's log
    -r, --remote_syslog ADDRESS      The same, to udp://HOST:PORT
    -D, --debug                      Log what helps to find mistakes
    -V, --trace                      Log each line of the protocol, without secrets
    -VV                              The same, with the system account
    -DV, -DVV                        Both
    --log_size_limit BYTES           Begin a new log file at this size
    --max_traced_msg_len BYTES       Cut payloads in traces

JetStream:
    -js, --jetstream                 Streams, key-value buckets and objects
    -sd, --store_dir DIR             Keep them in DIR/jetstream

Authorization:
    --user USER, --pass PASSWORD     Whom to let in
    --auth TOKEN                     Token to let in

TLS:
    --tls                            TLS for clients
    --tlscert FILE, --tlskey FILE    Certificate and private key
    --tlsverify                      Clients show a certificate
    --tlscacert FILE                 Authorities of their certificates

Flags of clusters and of profiling are refused: natterjack is one server.

    -h, --help                       This text
    -v, --version                    Version
    --help_tls                       How TLS is configured
"
    )
}

/// What only `natterjack broker` takes.
pub(super) const OWN: &str = "
natterjack's own, without a configuration file:
    --nats-listen HOST:PORT          Address for clients (127.0.0.1:4222; port 0 takes a free one)
    --data-dir DIR                   Where streams are kept; they are on unless a configuration file is given
    --open                           Listen where others can reach it though nobody has to sign in
";

/// What `--help_tls` prints.
pub(super) const TLS: &str = "
TLS for clients is configured by flags or in the block tls of the configuration file:

    tls {
        cert_file: \"server-cert.pem\"    # the certificate, then those that lead to its authority
        key_file:  \"server-key.pem\"
        ca_file:   \"ca.pem\"             # authorities of client certificates
        verify:    true                 # clients must show one
        timeout:   \"2s\"
        min_version: \"1.2\"              # or \"1.3\"
    }

Further keys: verify_and_map, pinned_certs, handshake_first, certs, cipher_suites, curve_preferences,
connection_rate_limit; beside the block: allow_non_tls. The same block stands in websocket and leafnodes.
";
