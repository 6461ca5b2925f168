# A Consul server, which is also the agent of the services. docker-compose.yml starts one, and two more in the profile ha.
server = true
data_dir = "/consul/data"
disable_update_check = true
# Each health check is a line at `info`.
log_level = "warn"

# Peers of the raft protocol notice a lost leader within seconds, as on real hardware.
performance { raft_multiplier = 1 }

# Services call over TLS, with a certificate of their authority; the plaintext port is for the agent's own command line.
addresses {
  http = "127.0.0.1"
  https = "0.0.0.0"
}
ports {
  https = 8501
  dns = -1
}
ca_file = "/run/secrets/ca.pem"
cert_file = "/run/secrets/tls.pem"
key_file = "/run/secrets/tls.key.pem"
verify_incoming = true
verify_outgoing = true
verify_server_hostname = true

# The services' servers ask for a certificate, and all of theirs have this name.
enable_agent_tls_for_checks = true
server_name = "gantry.internal"
