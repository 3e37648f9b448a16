// Threads that outlive a call, because starting them costs as much as cleaning a small mask.
#pragma once
#include <cstdint>
#include <functional>

namespace masks {

// Runs work(i) for 0 <= i < count on up to `threads` threads, the caller's among them, and waits for all. The first
// exception thrown is thrown again here. Safe to call from several threads at once, and in a forked child.
void parallel_for(int64_t count, int threads, const std::function<void(int64_t)>& work);

int usable_cores();

}  // namespace masks
