// What can be seen of a running container from outside: its processes, files and use of resources.
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/process.h"
#include "os/mount.h"
#include "os/safe_path.h"
#include "runtime/runtime_impl.h"

namespace holdfast {
namespace {

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    auto end = text.find('\n');
    if (end != 0) lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::vector<std::string_view> split_words(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(" \t")));
    if (line.empty()) return words;
    auto end = line.find_first_of(" \t");
    words.push_back(line.substr(0, end));
    line.remove_prefix(end == std::string_view::npos ? line.size() : end);
  }
}

// A number; "max" and what is none are 0.
std::uint64_t to_number(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// A file with one number; 0 when it isn't there.
std::uint64_t read_number(const std::string& path) {
  return to_number(read_file(path).value_or(""));
}

// A file of lines "key value".
std::map<std::string, std::uint64_t> read_table(const std::string& path) {
  std::map<std::string, std::uint64_t> table;
  auto text = read_file(path).value_or("");
  for (auto line : split_lines(text)) {
    auto words = split_words(line);
    if (words.size() == 2) table[std::string(words[0])] = to_number(words[1]);
  }
  return table;
}

std::uint64_t ticks_to_ns(std::uint64_t ticks) {
  return ticks * (1'000'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
}

// The first line of /proc/stat: user to steal; guest time is part of user time already.
std::uint64_t machine_cpu() {
  auto text = read_file("/proc/stat").value_or("");
  auto words = split_words(std::string_view(text).substr(0, text.find('\n')));
  std::uint64_t ticks = 0;
  for (std::size_t i = 1; i < words.size() && i <= 8; ++i) ticks += to_number(words[i]);
  return ticks_to_ns(ticks);
}

void add_io(std::string_view device, std::string operation, std::uint64_t value,
            std::vector<ContainerStats::BlockIo>& into) {
  auto colon = device.find(':');
  if (colon == std::string_view::npos) return;
  into.push_back({to_number(device.substr(0, colon)), to_number(device.substr(colon + 1)),
                  std::move(operation), value});
}

// "8:0 Read 4096" lines of blkio.throttle.*_recursive.
void read_io_v1(const std::string& path, std::vector<ContainerStats::BlockIo>& into) {
  auto text = read_file(path).value_or("");
  for (auto line : split_lines(text)) {
    auto words = split_words(line);
    if (words.size() != 3) continue;
    if (words[1] == "Read") add_io(words[0], "read", to_number(words[2]), into);
    if (words[1] == "Write") add_io(words[0], "write", to_number(words[2]), into);
  }
}

// "8:0 rbytes=4096 wbytes=0 rios=1 …" lines of io.stat.
void read_io_v2(const std::string& path, ContainerStats& stats) {
  auto text = read_file(path).value_or("");
  for (auto line : split_lines(text)) {
    auto words = split_words(line);
    for (std::size_t i = 1; i < words.size(); ++i) {
      auto equals = words[i].find('=');
      if (equals == std::string_view::npos) continue;
      auto key = words[i].substr(0, equals);
      auto value = to_number(words[i].substr(equals + 1));
      if (key == "rbytes") add_io(words[0], "read", value, stats.io_bytes);
      if (key == "wbytes") add_io(words[0], "write", value, stats.io_bytes);
      if (key == "rios") add_io(words[0], "read", value, stats.io_operations);
      if (key == "wios") add_io(words[0], "write", value, stats.io_operations);
    }
  }
}

void read_v2(const std::string& directory, ContainerStats& stats) {
  auto cpu = read_table(directory + "/cpu.stat");
  stats.cpu_total = cpu["usage_usec"] * 1000;
  stats.cpu_user = cpu["user_usec"] * 1000;
  stats.cpu_system = cpu["system_usec"] * 1000;
  stats.throttle_periods = cpu["nr_periods"];
  stats.throttled_periods = cpu["nr_throttled"];
  stats.throttled_time = cpu["throttled_usec"] * 1000;
  stats.memory = read_table(directory + "/memory.stat");
  stats.memory_usage = read_number(directory + "/memory.current");
  stats.memory_max_usage = read_number(directory + "/memory.peak");
  stats.memory_limit = read_number(directory + "/memory.max");
  stats.memory_fail_count = read_table(directory + "/memory.events")["max"];
  stats.pids = read_number(directory + "/pids.current");
  stats.pids_limit = read_number(directory + "/pids.max");
  read_io_v2(directory + "/io.stat", stats);
}

std::uint64_t machine_memory() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Every process in `directory` and the groups beneath it.
void collect_processes(const std::string& directory, std::vector<pid_t>& pids) {
  auto text = read_file(directory + "/cgroup.procs").value_or("");
  for (auto line : split_lines(text)) pids.push_back(static_cast<pid_t>(to_number(line)));
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    std::error_code error;
    if (entry.is_directory(error)) collect_processes(entry.path().string(), pids);
  }
}

// Runs on a thread of its own, which leaves the daemon's mount namespace for good.
Result<UniqueFd> clone_in_namespace(BorrowedFd mount_namespace, const std::string& path) {
  if (::unshare(CLONE_FS) != 0) return fail_errno("unshare");
  if (::setns(mount_namespace.get(), CLONE_NEWNS) != 0) return fail_errno("setns");
  // setns(2) made the container's root ours.
  ASSIGN_OR_RETURN(auto root, open_file("/", O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(auto place, open_confined(root, path, Confine::kInRoot, O_PATH));
  UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, place.get(), "",
                                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)));
  if (!tree) return fail_errno("clone the mount at \"{}\"", path);
  return tree;
}

}  // namespace

Result<ContainerStats> Runtime::stats(const ContainerId& id) const {
  ASSIGN_OR_RETURN(auto cgroup, impl_->cgroup_of(id));
  ContainerStats stats;
  stats.cgroup_v2 = impl_->host.cgroups.mode == CgroupLayout::Mode::kV2;
  if (stats.cgroup_v2) {
    read_v2(impl_->host.cgroups.unified + cgroup, stats);
  } else {
    impl_->read_stats_v1(cgroup, stats);
  }
  if (stats.memory_limit == 0 || stats.memory_limit > machine_memory()) {
    stats.memory_limit = machine_memory();
  }
  stats.system_cpu = machine_cpu();
  stats.online_cpus = static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN));
  return stats;
}

void Runtime::Impl::read_stats_v1(const std::string& cgroup, ContainerStats& stats) const {
  auto accounting = cgroup_directory(cgroup, "cpuacct");
  stats.cpu_total = read_number(accounting + "/cpuacct.usage");
  auto per_core = read_file(accounting + "/cpuacct.usage_percpu").value_or("");
  for (auto word : split_words(std::string_view(per_core).substr(0, per_core.find('\n')))) {
    stats.cpu_per_core.push_back(to_number(word));
  }
  auto ticks = read_table(accounting + "/cpuacct.stat");
  stats.cpu_user = ticks_to_ns(ticks["user"]);
  stats.cpu_system = ticks_to_ns(ticks["system"]);
  auto cpu = read_table(cgroup_directory(cgroup, "cpu") + "/cpu.stat");
  stats.throttle_periods = cpu["nr_periods"];
  stats.throttled_periods = cpu["nr_throttled"];
  stats.throttled_time = cpu["throttled_time"];
  auto memory = cgroup_directory(cgroup, "memory");
  stats.memory = read_table(memory + "/memory.stat");
  stats.memory_usage = read_number(memory + "/memory.usage_in_bytes");
  stats.memory_max_usage = read_number(memory + "/memory.max_usage_in_bytes");
  stats.memory_limit = read_number(memory + "/memory.limit_in_bytes");
  stats.memory_fail_count = read_number(memory + "/memory.failcnt");
  auto pids = cgroup_directory(cgroup, "pids");
  stats.pids = read_number(pids + "/pids.current");
  stats.pids_limit = read_number(pids + "/pids.max");
  auto io = cgroup_directory(cgroup, "blkio");
  read_io_v1(io + "/blkio.throttle.io_service_bytes_recursive", stats.io_bytes);
  read_io_v1(io + "/blkio.throttle.io_serviced_recursive", stats.io_operations);
}

Result<std::vector<pid_t>> Runtime::processes(const ContainerId& id) const {
  ASSIGN_OR_RETURN(auto cgroup, impl_->cgroup_of(id));
  // Any hierarchy will do that the runtime puts every process into.
  std::string directory = impl_->cgroup_directory(cgroup, "pids");
  if (directory.empty()) directory = impl_->cgroup_directory(cgroup, "memory");
  if (directory.empty()) return fail(Code::kNotImplemented, "no control groups to look in");
  std::vector<pid_t> pids;
  collect_processes(directory, pids);
  std::sort(pids.begin(), pids.end());
  return pids;
}

Result<ProcessTable> Runtime::top(const ContainerId& id,
                                  const std::vector<std::string>& arguments) const {
  ASSIGN_OR_RETURN(auto pids, processes(id));
  ProcessOptions options;
  options.argv = {"ps"};
  if (arguments.empty()) options.argv.emplace_back("-ef");
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  ASSIGN_OR_RETURN(auto output, run_command(options));
  auto lines = split_lines(output.out);
  if (!output.status.success() || lines.empty()) {
    return fail(Code::kInvalidArgument, "ps: {}", output.err);
  }
  ProcessTable table;
  for (auto word : split_words(lines[0])) table.titles.emplace_back(word);
  auto column = std::find(table.titles.begin(), table.titles.end(), "PID");
  if (column == table.titles.end()) {
    return fail(Code::kInvalidArgument, "Couldn't find PID field in ps output");
  }
  auto pid_column = static_cast<std::size_t>(column - table.titles.begin());
  for (std::size_t i = 1; i < lines.size(); ++i) {
    auto words = split_words(lines[i]);
    if (words.size() <= pid_column) continue;
    auto pid = static_cast<pid_t>(to_number(words[pid_column]));
    if (!std::binary_search(pids.begin(), pids.end(), pid)) continue;
    std::vector<std::string> row(words.begin(), words.end());
    // The last column is a command line, which has blanks of its own.
    while (row.size() > table.titles.size()) {
      row[table.titles.size() - 1] += " " + row[table.titles.size()];
      row.erase(row.begin() + static_cast<std::ptrdiff_t>(table.titles.size()));
    }
    table.processes.push_back(std::move(row));
  }
  return table;
}

Result<UniqueFd> Runtime::open_root(const ContainerId& id) const {
  ASSIGN_OR_RETURN(pid_t pid, find_process(id));
  ASSIGN_OR_RETURN(auto root, open_file(fmt::format("/proc/{}/root", pid), O_PATH | O_DIRECTORY));
  // Still its own: else the number went to another process between the two looks.
  RETURN_IF_ERROR(find_process(id));
  return root;
}

Result<std::string> Runtime::namespace_path(const ContainerId& id, const std::string& kind) const {
  ASSIGN_OR_RETURN(pid_t pid, find_process(id));
  return fmt::format("/proc/{}/ns/{}", pid, kind);
}

Result<UniqueFd> Runtime::clone_mount(const ContainerId& id, const std::string& path) const {
  ASSIGN_OR_RETURN(auto link, namespace_path(id, "mnt"));
  ASSIGN_OR_RETURN(auto mount_namespace, open_file(link, O_RDONLY));
  RETURN_IF_ERROR(find_process(id));
  Result<UniqueFd> result = fail(Code::kInternal, "not run");
  std::thread([&] { result = clone_in_namespace(mount_namespace, path); }).join();
  return result;
}

}  // namespace holdfast
