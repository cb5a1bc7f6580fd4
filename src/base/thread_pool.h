#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast {

// A bounded set of threads for work that blocks. Threads are started as work needs them and end
// after a while without any, so that an idle daemon keeps none. All methods may be called from any
// thread.
class ThreadPool {
 public:
  explicit ThreadPool(std::size_t limit);
  ~ThreadPool();  // finishes what is under way and queued
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Queues `task`; it waits when all `limit` threads are busy.
  void submit(std::function<void()> task);

  // Takes no further work, finishes the queue and joins. Safe to repeat.
  void stop();

  // While it lives, the calling thread waits for somebody outside of this machine's control (a
  // plugin's answer), and its pool may run one more thread in its place: those who hang don't use
  // the pool up. Does nothing in threads of no pool.
  class OutsideWait {
   public:
    OutsideWait();
    ~OutsideWait();
    OutsideWait(const OutsideWait&) = delete;
    OutsideWait& operator=(const OutsideWait&) = delete;

   private:
    ThreadPool* const pool_;
  };

 private:
  void run();
  void start_thread();
  void lend();
  void take_back();

  const std::size_t limit_;
  std::mutex mutex_;  // guards everything below
  std::condition_variable wake_;
  std::condition_variable ended_;
  std::deque<std::function<void()>> queue_;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;
  std::size_t lent_ = 0;  // threads that wait outside: so many more than limit_ may run
  bool stopping_ = false;
};

}  // namespace holdfast
