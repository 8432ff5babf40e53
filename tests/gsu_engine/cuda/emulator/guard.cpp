// What must not happen, and how it is told: as a text, whatever state the kernel is in.
#include <pthread.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

#include <dlfcn.h>

#include "state.hpp"

namespace emulator {

static void place(char* text, size_t bytes) {
    if (grid.running)
        snprintf(text, bytes, "kernel %s, block %u, thread %u: ", grid.kernel->name, grid.running->warp->block->index,
                 grid.running->thread);
    else
        snprintf(text, bytes, "kernel %s: ", grid.kernel->name);
}

void fail(const char* format, ...) {
    place(grid.error, sizeof(grid.error));
    const size_t used = strlen(grid.error);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(grid.error + used, sizeof(grid.error) - used, format, arguments);
    va_end(arguments);
    siglongjmp(grid.landing, 1);
}

// ---- addresses

bool in_buffers(const void* address, size_t bytes) {
    const auto first = reinterpret_cast<uint64_t>(address);
    static size_t last = 0;
    const auto& buffers = grid.buffers;
    const auto holds = [&](size_t i) { return first >= buffers[i].begin && first + bytes <= buffers[i].end; };
    if (last < buffers.size() && holds(last)) return true;
    for (size_t i = 0; i < buffers.size(); ++i)
        if (holds(i)) {
            last = i;
            return true;
        }
    return false;
}

static bool aligned(const void* address, size_t bytes) { return reinterpret_cast<uint64_t>(address) % bytes == 0; }

void check_shared(const void* address, size_t bytes, const char* what, int line) {
    if (!in_own_shared(address, bytes)) {
        const auto offset = static_cast<const unsigned char*>(address) - dynamic_shared();
        fail("%s (line %d): not shared memory of this block, byte %td of %zu", what, line, offset, grid.shared_bytes);
    }
    if (!aligned(address, bytes)) fail("%s (line %d): a shared address is not aligned to %zu bytes", what, line, bytes);
}

static void check_global(const void* address, size_t bytes, const char* what, int line) {
    if (!in_buffers(address, bytes)) fail("%s (line %d): address %p is in no buffer", what, line, address);
    if (!aligned(address, bytes)) fail("%s (line %d): address %p is not aligned to %zu bytes", what, line, address, bytes);
}

void atomic_access(const void* address, size_t bytes, const char* what, int line) {
    if (in_own_shared(address, bytes))
        check_shared(address, bytes, what, line);
    else
        check_global(address, bytes, what, line);
}

// ---- copies

void begin_copy(void* to_shared, const void* from_global, int line) {
    check_shared(to_shared, 16, "begin_copy", line);
    check_global(from_global, 16, "begin_copy", line);
    Copy copy{static_cast<unsigned char*>(to_shared), static_cast<const unsigned char*>(from_global), false, {}};
    copy.early = random_bits() >> 63;
    if (copy.early) memcpy(copy.bytes, copy.from, sizeof(copy.bytes));
    fill_with_garbage(copy.to, sizeof(copy.bytes));  // from now on nobody may count on what is there
    grid.running->copies.push_back(copy);
}

void close_copies() { grid.running->closed.push_back(grid.running->copies.size()); }

void wait_for_copies(unsigned pending) {
    auto& copies = grid.running->copies;
    auto& closed = grid.running->closed;
    if (closed.size() <= pending) return;
    const size_t groups = closed.size() - pending, end = closed[groups - 1];
    for (size_t i = 0; i < end; ++i) memcpy(copies[i].to, copies[i].early ? copies[i].bytes : copies[i].from, 16);
    copies.erase(copies.begin(), copies.begin() + static_cast<ptrdiff_t>(end));
    closed.erase(closed.begin(), closed.begin() + static_cast<ptrdiff_t>(groups));
    for (size_t& other : closed) other -= end;
}

// ---- nobody can go on

static std::string ranges(unsigned first_thread, unsigned lanes) {
    std::string text;
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (!(lanes >> lane & 1)) continue;
        unsigned last = lane;
        while (last + 1 < LANES && lanes >> (last + 1) & 1) ++last;
        text += (text.empty() ? "" : ",") + std::to_string(first_thread + lane);
        if (last > lane) text += "-" + std::to_string(first_thread + last);
        lane = last;
    }
    return text;
}

void describe_deadlock() {
    std::string text = "nobody can go on";
    for (const Block& block : grid.blocks) {
        if (!block.alive) continue;
        text += "; block " + std::to_string(block.index);
        for (const Warp& warp : block.warps) {
            if (warp.at_barrier)
                text += ", threads " + ranges(warp.first_thread, warp.at_barrier) + " wait at " + block.barrier +
                        " (line " + std::to_string(block.barrier_line) + ")";
            for (unsigned i = 0; i < warp.meeting_count; ++i) {
                const Meeting& open = warp.meetings[i];
                text += ", threads " + ranges(warp.first_thread, open.arrived) + " wait at " + open.what->name +
                        " (line " + std::to_string(open.line) + ") for threads " +
                        ranges(warp.first_thread, open.mask & warp.alive & ~open.arrived);
            }
        }
    }
    snprintf(grid.error, sizeof(grid.error), "kernel %s: %s", grid.kernel->name, text.c_str());
}

// ---- signals

static const char* reason_of(int signal) {
    switch (signal) {
        case SIGVTALRM: return "it does not end";
        case SIGILL: return "undefined behaviour";
        case SIGFPE: return "division by zero";
        default: return "it read or wrote where there is no memory";
    }
}

static void on_signal(int signal, siginfo_t* info, void* state) {
    place(grid.error, sizeof(grid.error));
    const size_t used = strlen(grid.error);
    char* text = grid.error + used;
    const size_t room = sizeof(grid.error) - used;
    int length = snprintf(text, room, "%s", reason_of(signal));
    if (signal == SIGSEGV || signal == SIGBUS) length += snprintf(text + length, room - length, ", %p", info->si_addr);
#if defined(__x86_64__)
    const auto at = static_cast<uint64_t>(static_cast<ucontext_t*>(state)->uc_mcontext.gregs[REG_RIP]);
    Dl_info image;
    if (dladdr(reinterpret_cast<void*>(at), &image))
        snprintf(text + length, room - length, " [%s+0x%lx]", image.dli_fname,
                 at - reinterpret_cast<uint64_t>(image.dli_fbase));
#else
    static_cast<void>(state);
#endif
    siglongjmp(grid.landing, 1);
}

// Handlers, a stack for them and a clock, for as long as a kernel runs.
class Guard {
   public:
    explicit Guard(double seconds) {
        stack_t mine{};
        mine.ss_sp = memory;
        mine.ss_size = sizeof(memory);
        sigaltstack(&mine, &old_stack);
        struct sigaction action {};
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&action.sa_mask);
        for (int i = 0; i < COUNT; ++i) sigaction(SIGNALS[i], &action, &old_actions[i]);
        struct sigevent event {};
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = SIGVTALRM;
        event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
        timed = timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0;
        struct itimerspec limit {};
        limit.it_value.tv_sec = static_cast<time_t>(seconds);
        limit.it_value.tv_nsec = static_cast<long>((seconds - static_cast<double>(limit.it_value.tv_sec)) * 1e9);
        if (timed) timer_settime(timer, 0, &limit, nullptr);
    }
    ~Guard() {
        if (timed) timer_delete(timer);
        for (int i = 0; i < COUNT; ++i) sigaction(SIGNALS[i], &old_actions[i], nullptr);
        sigaltstack(&old_stack, nullptr);
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    static constexpr int COUNT = 5;
    static constexpr int SIGNALS[COUNT] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGVTALRM};
    static inline unsigned char memory[1 << 16];
    struct sigaction old_actions[COUNT];
    stack_t old_stack{};
    timer_t timer{};
    bool timed;
};

void run_guarded(void (*work)(), double seconds) {
    Guard guard(seconds);
    if (sigsetjmp(grid.landing, 1) == 0) work();
    grid.running = nullptr;
}

}  // namespace emulator
