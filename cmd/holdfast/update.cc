#include <memory>

#include "base/size_text.h"
#include "client/run/value_specs.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

struct UpdateOptions {
  std::optional<std::int64_t> memory, reservation, swap, nano_cpus, shares, period, quota;
  std::optional<std::int64_t> rt_period, rt_runtime, pids, blkio_weight;
  std::string cpuset_cpus, cpuset_mems, restart;
};

Result<json::Object> update_body(const UpdateOptions& options) {
  json::Object body;
  auto put = [&](std::string_view key, const std::optional<std::int64_t>& value) {
    if (value) body[key] = *value;
  };
  put("Memory", options.memory);
  put("MemoryReservation", options.reservation);
  put("MemorySwap", options.swap);
  put("NanoCpus", options.nano_cpus);
  put("CpuShares", options.shares);
  put("CpuPeriod", options.period);
  put("CpuQuota", options.quota);
  put("CpuRealtimePeriod", options.rt_period);
  put("CpuRealtimeRuntime", options.rt_runtime);
  put("PidsLimit", options.pids);
  put("BlkioWeight", options.blkio_weight);
  if (!options.cpuset_cpus.empty()) body["CpusetCpus"] = options.cpuset_cpus;
  if (!options.cpuset_mems.empty()) body["CpusetMems"] = options.cpuset_mems;
  if (!options.restart.empty()) {
    ASSIGN_OR_RETURN(body["RestartPolicy"], client::parse_restart_policy(options.restart));
  }
  if (body.empty())
    return fail(Code::kInvalidArgument,
                "you must provide one or more flags when using this command");
  return body;
}

}  // namespace

Command update_command() {
  auto options = std::make_shared<UpdateOptions>();
  Command command;
  command.arguments = "[OPTIONS] CONTAINER [CONTAINER...]";
  command.summary = "Update configuration of one or more containers";
  command.examples =
      "  holdfast update --memory 1g --memory-swap -1 db\n"
      "  holdfast update --restart unless-stopped db web\n";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  auto& flags = command.flags;
  flags.flag("blkio-weight", 0, options->blkio_weight,
             "Block IO (relative weight), between 10 and 1000, or 0 to disable");
  flags.flag("cpu-period", 0, options->period, "Limit CPU CFS period");
  flags.flag("cpu-quota", 0, options->quota, "Limit CPU CFS quota");
  flags.flag("cpu-rt-period", 0, options->rt_period, "Limit the CPU real-time period");
  flags.flag("cpu-rt-runtime", 0, options->rt_runtime, "Limit the CPU real-time runtime");
  flags.flag("cpu-shares", 'c', options->shares, "CPU shares (relative weight)");
  flags.add({"cpus", 0, "decimal", "Number of CPUs", [options](std::string_view value) -> Status {
               ASSIGN_OR_RETURN(options->nano_cpus, client::parse_cpus(value));
               return {};
             }});
  flags.flag("cpuset-cpus", 0, options->cpuset_cpus, "CPUs in which to allow execution (0-3, 0,1)");
  flags.flag("cpuset-mems", 0, options->cpuset_mems, "MEMs in which to allow execution (0-3, 0,1)");
  flags.bytes("memory", 'm', options->memory, "Memory limit");
  flags.bytes("memory-reservation", 0, options->reservation, "Memory soft limit");
  flags.add({"memory-swap", 0, "bytes",
             "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
             [options](std::string_view value) -> Status {
               if (value == "-1") {
                 options->swap = -1;
                 return {};
               }
               ASSIGN_OR_RETURN(options->swap, parse_ram_size(value));
               return {};
             }});
  flags.flag("pids-limit", 0, options->pids, "Tune container pids limit (set -1 for unlimited)");
  flags.flag("restart", 0, options->restart, "Restart policy to apply when a container exits");
  command.run = [options](Cli& cli, const Arguments& names) -> Result<int> {
    ASSIGN_OR_RETURN(auto body, update_body(*options));
    return for_each_target(cli, names, [&](const std::string& name) -> Status {
      auto path = fmt::format("/containers/{}/update", client::url_escape(name));
      ASSIGN_OR_RETURN(auto answer, cli.engine().post(path, {}, body));
      if (answer.is_object())
        for (const auto& warning : json::strings_or_empty(answer.get_object(), "Warnings"))
          cli.err(warning + "\n");
      return {};
    });
  };
  return command;
}

}  // namespace holdfast::cli
