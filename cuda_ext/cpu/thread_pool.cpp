#include "thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif

namespace masks {
namespace {

struct Job {
  const std::function<void(int64_t)>* work;
  int64_t count;
  int seats;  // threads that may still join; guarded by the pool
  int present = 0;  // threads at work besides the caller; guarded by the pool
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;  // guarded by the pool

  Job(const std::function<void(int64_t)>& w, int64_t c, int helpers) : work(&w), count(c), seats(helpers) {}
};

class Pool {
 public:
  void run(Job& job) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      hire(job.seats);
      jobs_.push_back(&job);
    }
    wake_.notify_all();
    take_part(job);
    std::unique_lock<std::mutex> lock(mutex_);
    const auto place = std::find(jobs_.begin(), jobs_.end(), &job);
    if (place != jobs_.end()) jobs_.erase(place);
    left_.wait(lock, [&] { return job.present == 0; });
    if (job.failure) std::rethrow_exception(job.failure);
  }

 private:
  void hire(int wanted) {
    try {
      for (; workers_ < wanted; ++workers_) std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
      // The system gives no more threads; those there are, or the caller alone, do all the work.
    }
  }

  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return !jobs_.empty(); });
      Job& job = *jobs_.front();
      ++job.present;
      if (--job.seats == 0) jobs_.pop_front();
      lock.unlock();
      take_part(job);
      lock.lock();
      // Nothing is left to hand out, so that nobody else need look at it.
      const auto place = std::find(jobs_.begin(), jobs_.end(), &job);
      if (place != jobs_.end()) jobs_.erase(place);
      // Under the lock: once the caller sees zero, the job is gone.
      if (--job.present == 0) left_.notify_all();
    }
  }

  void take_part(Job& job) {
    try {
      for (int64_t i; (i = job.next.fetch_add(1)) < job.count;) (*job.work)(i);
    } catch (...) {
      job.next = job.count;
      std::lock_guard<std::mutex> lock(mutex_);
      if (!job.failure) job.failure = std::current_exception();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, left_;
  std::deque<Job*> jobs_;
  int workers_ = 0;
};

std::atomic<Pool*> current{nullptr};

// Never destroyed: its threads sleep in it until the process ends. A forked child has none of them and needs its own.
Pool& pool() {
  static const bool once = [] {
    current = new Pool;
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, [] { current = new Pool; });
#endif
    return true;
  }();
  (void)once;
  return *current;
}

}  // namespace

int usable_cores() {
#ifdef __linux__
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1, CPU_COUNT(&cores));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

void parallel_for(int64_t count, int threads, const std::function<void(int64_t)>& work) {
  const int64_t helpers = std::min<int64_t>(count, threads) - 1;
  if (helpers <= 0) {
    for (int64_t i = 0; i < count; ++i) work(i);
    return;
  }
  Job job(work, count, static_cast<int>(helpers));
  pool().run(job);
}

}  // namespace masks
