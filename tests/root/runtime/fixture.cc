#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <sstream>

#include "base/process.h"
#include "base/random.h"
#include "os/cgroup.h"

namespace holdfast {
namespace fs = std::filesystem;

namespace {

// Every mount table on the machine that names `text`.
std::vector<std::string> mount_tables_with(const std::string& text) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    auto table = read_file("/proc/" + pid + "/mountinfo");
    if (table && table->find(text) != std::string::npos) found.push_back(pid);
  }
  return found;
}

std::vector<std::string> cgroups_with(const ContainerId& id) {
  std::vector<std::string> found;
  auto layout = CgroupLayout::detect();
  if (!layout) return found;
  std::vector<std::string> mounts = {layout->unified};
  for (const auto& [controller, mount] : layout->controllers) mounts.push_back(mount);
  for (const auto& mount : mounts) {
    std::string path = fmt::format("{}/holdfast-test/{}", mount, id);
    if (!mount.empty() && file_exists(path)) found.push_back(path);
  }
  return found;
}

bool wait_readable(BorrowedFd fd, std::chrono::steady_clock::time_point deadline) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  struct pollfd entry = {fd.get(), POLLIN, 0};
  return left.count() > 0 && ::poll(&entry, 1, static_cast<int>(left.count())) > 0;
}

}  // namespace

std::vector<const char*> installed_runtimes() {
  std::vector<const char*> names;
  for (const char* name : {"crun", "runc"}) {
    if (file_exists(std::string("/usr/bin/") + name) ||
        file_exists(std::string("/usr/sbin/") + name)) {
      names.push_back(name);
    }
  }
  return names;
}

void make_busybox_root(const std::string& directory) {
  for (const char* name : {"bin", "etc", "proc", "dev", "sys", "tmp", "root", "data", "sbin"}) {
    fs::create_directories(directory + "/" + name);
  }
  fs::copy_file("/bin/busybox", directory + "/bin/busybox");
  ProcessOptions options;
  options.argv = {directory + "/bin/busybox", "--list"};
  auto listed = run_command(options);
  ASSERT_TRUE(listed);
  std::string name;
  for (char letter : listed->out) {
    if (letter != '\n') {
      name += letter;
      continue;
    }
    std::error_code exists;
    fs::create_symlink("busybox", directory + "/bin/" + name, exists);
    name.clear();
  }
  ASSERT_TRUE(write_file_atomic(directory + "/etc/passwd",
                                "root:x:0:0:root:/root:/bin/sh\n"
                                "someone:x:1000:1000::/home/someone:/bin/sh\n",
                                0644, false));
  ASSERT_TRUE(write_file_atomic(directory + "/etc/group",
                                "root:x:0:\nsomeone:x:1000:\nextra:x:2000:someone\n", 0644, false));
  ASSERT_TRUE(write_file_atomic(directory + "/etc/text", "not a program\n", 0644, false));
}

void RuntimeTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  directory_ = "/tmp/holdfast-runtime-test-" + random_hex(12);
  fs::create_directories(directory_);
  make_busybox_root(path("rootfs"));
  rootfs_ = *open_file(path("rootfs"), O_PATH | O_DIRECTORY);
  RuntimeOptions options;
  options.exec_root = path("run");
  options.default_runtime = GetParam();
  options.cgroup_parent = "/holdfast-test";
  auto opened = Runtime::open(options);
  ASSERT_TRUE(opened) << opened.error().message;
  runtime_ = std::move(*opened);
}

void RuntimeTest::TearDown() {
  if (directory_.empty()) return;
  exits_.reset();
  loop_.reset();
  if (runtime_) {
    for (const auto& id : ids_) {
      auto removed = runtime_->remove(id);
      EXPECT_TRUE(removed) << removed.error().message;
      EXPECT_FALSE(file_exists(runtime_->container_directory(id)));
      EXPECT_EQ(cgroups_with(id), std::vector<std::string>());
    }
  }
  trees_.clear();
  EXPECT_EQ(own_mounts(), std::vector<std::string>());
  if (!leaves_host_mounts_) {
    EXPECT_EQ(mount_tables_with(directory_), std::vector<std::string>());
  }
  EXPECT_EQ(fs::is_empty(path("run/tmp")), true);
  std::error_code error;
  fs::remove_all(directory_, error);
  EXPECT_FALSE(error) << error.message();
}

std::vector<std::string> RuntimeTest::own_mounts() const {
  std::vector<std::string> found;
  std::istringstream table(read_file("/proc/self/mountinfo").value_or(""));
  for (std::string line; std::getline(table, line);) {
    if (line.find(directory_) != std::string::npos) found.push_back(line);
  }
  return found;
}

ContainerSpec RuntimeTest::spec(std::vector<std::string> args) {
  ContainerSpec result;
  result.args = std::move(args);
  result.hostname = "box";
  result.namespaces.cgroup.kind = ContainerNamespaces::Kind::kHost;
  return result;
}

ContainerId RuntimeTest::new_id() {
  ids_.emplace_back(random_hex(64));
  return ids_.back();
}

CreateRequest RuntimeTest::request(const ContainerId& id, ContainerSpec container) {
  auto tree = DetachedMount::clone(rootfs_, "", false);
  EXPECT_TRUE(tree) << tree.error().message;
  trees_.push_back(std::move(*tree));
  CreateRequest result;
  result.id = id;
  result.spec = std::move(container);
  result.rootfs = trees_.back().root();
  result.log_path = path(id.str() + ".log");
  return result;
}

Result<CreatedContainer> RuntimeTest::create(const ContainerId& id, ContainerSpec container,
                                             bool stdin_open, bool stdin_once) {
  auto wanted = request(id, std::move(container));
  wanted.stdin_open = stdin_open;
  wanted.stdin_once = stdin_once;
  return runtime_->create(wanted);
}

void RuntimeTest::converse(AttachStream& stream, std::optional<std::string> input,
                           Outcome& outcome) {
  auto deadline = std::chrono::steady_clock::now() + kDeadline;
  std::string_view rest = input ? std::string_view(*input) : std::string_view();
  bool open = input.has_value();
  while (true) {
    if (!rest.empty()) {
      auto taken = stream.write(rest);
      ASSERT_TRUE(taken) << taken.error().message;
      rest.remove_prefix(*taken);
    }
    if (open && rest.empty()) {
      ASSERT_TRUE(stream.close_stdin());
      open = false;
    }
    auto event = stream.read();
    ASSERT_TRUE(event) << event.error().message;
    if (event->kind == AttachEvent::Kind::kEnd) return;
    if (event->kind == AttachEvent::Kind::kData) {
      (event->stream == OutputStream::kStderr ? outcome.err : outcome.out) += event->bytes;
    } else if (rest.empty()) {
      ASSERT_TRUE(wait_readable(stream.fd(), deadline)) << "no end of output";
    }
  }
}

bool RuntimeTest::read_until(AttachStream& stream, const std::string& text, std::string& output) {
  auto deadline = std::chrono::steady_clock::now() + kDeadline;
  while (output.find(text) == std::string::npos) {
    auto event = stream.read();
    if (!event || event->kind == AttachEvent::Kind::kEnd) return false;
    if (event->kind == AttachEvent::Kind::kData) {
      output += event->bytes;
    } else if (!wait_readable(stream.fd(), deadline)) {
      return false;
    }
  }
  return true;
}

std::future<ExitRecord> RuntimeTest::watch(const MonitorProcess& monitor) {
  if (!loop_) {
    loop_ = std::make_unique<EventLoop>();
    loop_->start();
    exits_ = std::make_unique<ExitMonitor>(*loop_);
  }
  auto promise = std::make_shared<std::promise<ExitRecord>>();
  auto future = promise->get_future();
  auto watched =
      exits_->watch(monitor, [promise](const ExitRecord& record) { promise->set_value(record); });
  EXPECT_TRUE(watched) << watched.error().message;
  return future;
}

ExitRecord RuntimeTest::wait(std::future<ExitRecord>& future) {
  if (future.wait_for(kDeadline) != std::future_status::ready) {
    ADD_FAILURE() << "no exit within the deadline";
    return {};
  }
  return future.get();
}

Outcome RuntimeTest::run(ContainerSpec container, std::optional<std::string> input) {
  Outcome outcome;
  auto id = new_id();
  auto created = create(id, std::move(container), input.has_value());
  EXPECT_TRUE(created) << created.error().message;
  if (!created) return outcome;
  auto ended = watch(created->monitor);
  auto stream = AttachStream::connect(runtime_->container_directory(id));
  EXPECT_TRUE(stream) << stream.error().message;
  auto started = runtime_->start(id);
  EXPECT_TRUE(started) << started.error().message;
  if (!stream || !started) return outcome;
  converse(*stream, std::move(input), outcome);
  outcome.exit = wait(ended);
  return outcome;
}

Outcome RuntimeTest::run_exec(const ContainerId& id, ExecSpec exec,
                              std::optional<std::string> input) {
  Outcome outcome;
  ExecRequest wanted{id, random_hex(64), std::move(exec), input.has_value()};
  auto pending = runtime_->prepare_exec(wanted);
  EXPECT_TRUE(pending) << pending.error().message;
  if (!pending) return outcome;
  auto stream = AttachStream::connect(pending->directory());
  EXPECT_TRUE(stream) << stream.error().message;
  auto started = pending->start();
  EXPECT_TRUE(started) << started.error().message;
  if (!stream || !started) return outcome;
  auto ended = watch(started->monitor);
  converse(*stream, std::move(input), outcome);
  outcome.exit = wait(ended);
  EXPECT_TRUE(runtime_->remove_exec(id, wanted.exec_id));
  return outcome;
}

ContainerId RuntimeTest::start_idle() {
  auto id = new_id();
  auto created = create(id, spec({"/bin/sleep", "1000"}));
  EXPECT_TRUE(created) << created.error().message;
  if (created) {
    auto started = runtime_->start(id);
    EXPECT_TRUE(started) << started.error().message;
  }
  return id;
}

}  // namespace holdfast
