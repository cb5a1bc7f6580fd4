// Times copy_tree() against `cp -a` on a tree of small files, both on the file system of the
// directory given (default: the current one), and prints the ratio. Alternates the two, so that
// neither has the warmer cache.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/process.h"
#include "base/random.h"
#include "storage/copy/tree_copy.h"
#include "storage/copy/tree_remove.h"

namespace {

using namespace holdfast;
using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const Error& error) {
  fmt::print(stderr, "tree_copy_bench: {}\n", error.message);
  std::exit(1);
}

template <typename T>
T need(Result<T> result) {
  if (!result) die(result.error());
  return std::move(*result);
}

void need(Status status) {
  if (!status) die(status.error());
}

void make_tree(const std::string& root, int files) {
  std::string content(2000, 'x');
  for (int i = 0; i < files; ++i) {
    std::string directory = fmt::format("{}/d{}/e{}", root, i / 1000, i / 100 % 10);
    if (i % 100 == 0) need(make_directories(directory, 0755));
    auto file = need(open_file(fmt::format("{}/file-{}", directory, i), O_CREAT | O_WRONLY, 0644));
    need(write_all(file, std::string_view(content).substr(0, static_cast<std::size_t>(i % 2000))));
  }
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Processor time used so far, by us or by the children waited for: what is left to compare on a
// busy machine.
double processor_seconds(int whose) {
  rusage usage = {};
  ::getrusage(whose, &usage);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double time_copy_tree(const std::string& from, const std::string& to) {
  auto start = Clock::now();
  need(make_directories(to, 0755));
  auto source = need(open_file(from, O_RDONLY | O_DIRECTORY));
  auto target = need(open_file(to, O_RDONLY | O_DIRECTORY));
  need(copy_tree(source, target));
  return seconds_since(start);
}

double time_cp(const std::string& from, const std::string& to) {
  auto start = Clock::now();
  ProcessOptions options;
  options.argv = {"cp", "-a", from, to};
  auto output = need(run_command(options, {}, std::chrono::minutes(10)));
  if (!output.status.success()) die(Error{Code::kInternal, 0, output.err});
  return seconds_since(start);
}

double remove_timed(const std::string& base, const std::string& name) {
  auto start = Clock::now();
  need(remove_tree(need(open_file(base, O_RDONLY | O_DIRECTORY)), name));
  return seconds_since(start);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  std::string where = argc > 1 ? argv[1] : ".";
  int files = argc > 2 ? std::atoi(argv[2]) : 50000;
  int rounds = argc > 3 ? std::atoi(argv[3]) : 3;
  std::string name = "tree-copy-bench-" + random_hex(8);
  std::string base = where + "/" + name;
  need(make_directories(base, 0700));
  make_tree(base + "/from", files);
  std::vector<double> ratios, processor_ratios;
  for (int round = 0; round < rounds; ++round) {
    ::sync();
    double children = processor_seconds(RUSAGE_CHILDREN);
    double theirs = time_cp(base + "/from", fmt::format("{}/cp-{}", base, round));
    children = processor_seconds(RUSAGE_CHILDREN) - children;
    ::sync();
    double own = processor_seconds(RUSAGE_SELF);
    double ours = time_copy_tree(base + "/from", fmt::format("{}/copy-{}", base, round));
    own = processor_seconds(RUSAGE_SELF) - own;
    fmt::print("cp -a {:.3f} s (processor {:.3f} s), copy_tree {:.3f} s (processor {:.3f} s)\n",
               theirs, children, ours, own);
    ratios.push_back(theirs / ours);
    processor_ratios.push_back(children / own);
  }
  auto removal = remove_timed(where, name);
  fmt::print("remove_tree of {} files: {:.3f} s\n", files * (2 * rounds + 1), removal);
  fmt::print(
      "copy_tree of {} files is {:.2f} times as fast as cp -a and uses 1/{:.2f} of its processor "
      "time (medians of {})\n",
      files, median(ratios), median(processor_ratios), rounds);
  return 0;
}
