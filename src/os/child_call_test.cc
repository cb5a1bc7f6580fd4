#include "os/child_call.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

TEST(ChildCall, BringsTextAndDescriptorsBack) {
  auto answer = call_in_child({}, 10s, [](ChildReply& reply) {
    reply.append("one, ");
    reply.append("two");
    reply.give(::open("/proc/self/status", O_RDONLY));
  });
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->number, 0);
  EXPECT_EQ(answer->text, "one, two");
  ASSERT_EQ(answer->files.size(), 1u);
  EXPECT_TRUE(answer->files[0].valid());
  EXPECT_NE(::fcntl(answer->files[0].get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(ChildCall, TellsTheFirstFailure) {
  auto answer = call_in_child({}, 10s, [](ChildReply& reply) {
    reply.fail(7, ENOENT);
    reply.fail(8, EPERM);
    reply.append(std::string_view("x"));
  });
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->step, 7);
  EXPECT_EQ(answer->number, ENOENT);
}

TEST(ChildCall, CutsWhatIsTooLong) {
  static const std::string text(3000, 'x');
  auto answer = call_in_child({}, 10s, [](ChildReply& reply) {
    reply.append("begin");
    reply.append(text);
  });
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text.size(), ChildReply::kMaxText);
}

TEST(ChildCall, IsKilledAtTheDeadline) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  auto answer = call_in_child({write_end}, 100ms, [](ChildReply&) { ::pause(); });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kDeadlineExceeded);
  write_end.reset();
  struct pollfd entry = {read_end.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&entry, 1, 10000), 1) << "it is gone";
}

TEST(ChildCall, EndsWithoutAnAnswerAreTold) {
  auto answer = call_in_child({}, 10s, [](ChildReply&) { ::_exit(0); });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kInternal);
}

// A child that hangs must not keep our locks and sockets.
TEST(ChildCall, HasNoDescriptorsButThoseItIsGiven) {
  auto mine = open_file("/proc/self/status", O_RDONLY);
  auto kept = open_file("/proc/self/status", O_RDONLY);
  ASSERT_TRUE(mine && kept);
  int given = kept->get(), withheld = mine->get();
  auto answer = call_in_child({*kept}, 10s, [=](ChildReply& reply) {
    if (::fcntl(given, F_GETFD) < 0) reply.fail(1, errno);
    int open = 0;
    for (int fd = 0; fd < 1024; ++fd) open += ::fcntl(fd, F_GETFD) >= 0;
    if (::fcntl(withheld, F_GETFD) >= 0 || open != 2) reply.fail(2, EEXIST);
  });
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->step, 0) << "the one given, and the socket of the call";
}

}  // namespace
}  // namespace holdfast
