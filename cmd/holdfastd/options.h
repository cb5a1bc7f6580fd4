#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "engine/mounts/bind_policy.h"
#include "http/server.h"
#include "network/networks.h"
#include "storage/driver/plugin/plugin_options.h"

namespace holdfast {

// What the command line and the configuration file say; flags and keys are dockerd's where it has
// them.
struct DaemonOptions {
  std::vector<std::string> hosts;
  std::string data_root = "/var/lib/holdfast";
  std::string exec_root = "/run/holdfast";
  std::string config_file = "/etc/holdfast/daemon.json";
  std::string secrets_key_file = "/etc/holdfast/secrets.key";
  std::string pidfile;
  std::string group;
  std::string default_runtime;
  log::Level log_level = log::Level::kInfo;
  std::string bridge = "holdfast0";
  std::string bip;
  int mtu = 0;
  int mount_timeout = 60;  // seconds
  std::vector<AddressPool> address_pools;
  std::vector<std::string> insecure_registries;
  std::vector<std::string> labels;
  PluginOptions plugins;
  BindPolicy bind_policy;
  std::string userns_remap;
  http::TlsFiles tls;
};

// What parse_options() found.
struct ParsedOptions {
  DaemonOptions options;
  std::string printed;  // --help or --version: print this and leave
};

// Reads the flags, then the configuration file for what no flag said. kInvalidArgument names the
// flag or key.
Result<ParsedOptions> parse_options(int argc, char** argv);

}  // namespace holdfast
