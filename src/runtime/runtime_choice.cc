#include "runtime/runtime_choice.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/random.h"
#include "runtime/monitor_process.h"

namespace holdfast {
namespace {

// What a cached choice depends on: the same program on the same kind of machine.
std::string fingerprint(const std::string& program, const CgroupLayout& cgroups) {
  struct stat status = {};
  if (::stat(program.c_str(), &status) != 0) return "";
  return fmt::format("{}:{}:{}:{}", program, status.st_size, status.st_mtim.tv_sec,
                     static_cast<int>(cgroups.mode));
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// "crun version 1.8.1" → "1.8.1".
std::string read_version(const std::string& program) {
  ProcessOptions options;
  options.argv = {program, "--version"};
  auto output = run_command(options);
  if (!output) return "";
  std::string_view line = std::string_view(output->out).substr(0, output->out.find('\n'));
  return std::string(line.substr(line.rfind(' ') + 1));
}

// A bundle with an empty root file system and a command that can't be there.
Status write_trial_bundle(const std::string& directory) {
  RETURN_IF_ERROR(make_directories(directory + "/rootfs", 0700));
  json::Object process;
  process["cwd"] = "/";
  process["args"] = json::from_strings({"/holdfast-trial"});
  process["user"] = json::Object{{"uid", 0}, {"gid", 0}};
  json::Array namespaces;
  for (const char* type : {"pid", "mount", "uts", "ipc", "network"}) {
    namespaces.push_back(json::Object{{"type", type}});
  }
  json::Object config;
  config["ociVersion"] = "1.0.2";
  config["process"] = std::move(process);
  config["root"] = json::Object{{"path", "rootfs"}};
  config["mounts"] =
      json::Array{json::Object{{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}},
                  json::Object{{"destination", "/dev"}, {"type", "tmpfs"}, {"source", "tmpfs"}}};
  config["linux"] = json::Object{{"namespaces", std::move(namespaces)}};
  return write_file_atomic(directory + "/config.json", json::serialize(config), 0600, false);
}

// Makes a container whose command does not exist: a runtime that gets as far as saying so has made
// namespaces, control groups and the root file system. Needs no file of any image.
Status try_runtime(const RuntimeChoice& runtime, const RuntimePaths& paths,
                   const CgroupLayout& cgroups) {
  std::string id = "holdfast-trial-" + random_hex(12);
  std::string bundle = paths.temporary() + "/" + id;
  RETURN_IF_ERROR(write_trial_bundle(bundle));
  ChildSurroundings surroundings;
  surroundings.hidden_mount = runtime.hidden_mount(cgroups);
  surroundings.read_only_program = runtime.read_only_program();
  ProcessOptions options;
  options.argv = {runtime.program, "--root", paths.state(runtime.name), "create", "--bundle",
                  bundle,          id};
  options.prepare = [&surroundings] { return surroundings.enter(); };
  options.prepare_context = "prepare a trial container";
  auto output = run_command(options);
  options.argv = {runtime.program, "--root", paths.state(runtime.name), "delete", "--force", id};
  if (output && output->status.success()) (void)run_command(options);
  for (const char* name : {"/config.json", "/rootfs/proc", "/rootfs/dev", "/rootfs", ""}) {
    std::string path = bundle + name;
    if (::unlink(path.c_str()) != 0) ::rmdir(path.c_str());
  }
  if (!output) return tl::unexpected(std::move(output).error());
  if (output->err.find("holdfast-trial") != std::string::npos &&
      (output->err.find("not found") != std::string::npos ||
       output->err.find("no such file") != std::string::npos)) {
    return {};
  }
  return fail(Code::kUnavailable, "{}: {}", runtime.name, output->err);
}

std::optional<RuntimeChoice> read_choice(const RuntimePaths& paths, const CgroupLayout& cgroups) {
  auto text = read_file(paths.choice());
  if (!text) return std::nullopt;
  auto object = json::parse_object(*text);
  if (!object) return std::nullopt;
  RuntimeChoice choice{json::string_or(*object, "name"), json::string_or(*object, "program"),
                       json::string_or(*object, "version")};
  auto expected = fingerprint(choice.program, cgroups);
  if (expected.empty() || expected != json::string_or(*object, "fingerprint")) return std::nullopt;
  return choice;
}

void keep_choice(const RuntimeChoice& choice, const RuntimePaths& paths,
                 const CgroupLayout& cgroups) {
  json::Object object;
  object["name"] = choice.name;
  object["program"] = choice.program;
  object["version"] = choice.version;
  object["fingerprint"] = fingerprint(choice.program, cgroups);
  // Only a shortcut for the next start: without it, that one tries again.
  (void)write_file_atomic(paths.choice(), json::serialize(object), 0600, false);
}

}  // namespace

std::string RuntimeChoice::hidden_mount(const CgroupLayout& cgroups) const {
  bool hide = name == "crun" && cgroups.mode == CgroupLayout::Mode::kHybrid;
  return hide ? cgroups.unified : "";
}

Result<std::string> find_system_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), X_OK) != 0) return fail_errno("program \"{}\"", name);
    return name;
  }
  const char* path = std::getenv("PATH");
  std::string places = fmt::format(
      "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", path ? path : "");
  std::string_view rest = places;
  while (!rest.empty()) {
    auto colon = rest.find(':');
    auto candidate = fmt::format("{}/{}", rest.substr(0, colon), name);
    if (candidate[0] == '/' && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
  }
  return fail(Code::kNotFound, "program \"{}\" not found in PATH", name);
}

Result<RuntimeChoice> choose_runtime(const std::string& wanted, const RuntimePaths& paths,
                                     const CgroupLayout& cgroups) {
  if (!wanted.empty()) {
    ASSIGN_OR_RETURN(auto program, find_system_program(wanted));
    return RuntimeChoice{base_name(program), program, read_version(program)};
  }
  if (auto kept = read_choice(paths, cgroups)) return *kept;
  std::string reasons;
  for (const char* name : {"crun", "runc"}) {
    auto program = find_system_program(name);
    if (!program) {
      reasons += fmt::format("; {}", program.error().message);
      continue;
    }
    RuntimeChoice choice{name, *program, ""};
    auto worked = try_runtime(choice, paths, cgroups);
    if (worked) {
      choice.version = read_version(*program);
      keep_choice(choice, paths, cgroups);
      return choice;
    }
    reasons += fmt::format("; {}", worked.error().message);
  }
  return fail(Code::kUnavailable, "no OCI runtime works here{}", reasons);
}

}  // namespace holdfast
