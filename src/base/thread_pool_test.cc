#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

TEST(ThreadPoolTest, RunsNoMoreThanItsLimitAtOnce) {
  std::atomic<int> running = 0, most = 0;
  {
    ThreadPool pool(3);
    for (int i = 0; i < 200; ++i) {
      pool.submit([&] {
        int now = ++running;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        std::this_thread::yield();
        --running;
      });
    }
  }
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 1);
}

TEST(ThreadPoolTest, ThoseWhoWaitOutsideLeaveRoomForOthers) {
  std::promise<void> answer;
  auto answered = answer.get_future().share();
  std::atomic<int> waiting = 0;
  ThreadPool pool(2);
  for (int i = 0; i < 20; ++i) {
    pool.submit([&] {
      ThreadPool::OutsideWait outside;
      ++waiting;
      answered.wait();
    });
  }
  std::promise<void> done;
  pool.submit([&] { done.set_value(); });
  EXPECT_EQ(done.get_future().wait_for(10s), std::future_status::ready);
  // The last of them may be about to wait.
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while (waiting < 20 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(waiting, 20);
  answer.set_value();
  pool.stop();
}

TEST(ThreadPoolTest, AWaitOutsideOfAnyPoolIsNothing) {
  ThreadPool::OutsideWait outside;
  std::promise<void> done;
  ThreadPool pool(1);
  pool.submit([&] { done.set_value(); });
  EXPECT_EQ(done.get_future().wait_for(10s), std::future_status::ready);
}

}  // namespace
}  // namespace holdfast
