// Threads that take turns: a stack of its own each, and a switch that costs a few nanoseconds on x86-64 (ucontext's
// goes through the kernel, for a signal mask that nobody changes here).
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

#if defined(__x86_64__)

extern "C" void muse_switch(void** from, void* to) __attribute__((visibility("hidden")));
asm(R"(
    .text
    .type muse_switch, @function
muse_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size muse_switch, . - muse_switch
)");

struct Context {
    void* top = nullptr;

    void begin(unsigned char* stack, size_t bytes, void (*entry)()) {
        auto* words = reinterpret_cast<uint64_t*>(stack + bytes) - 2;  // a function begins 8 bytes off a multiple of 16
        words[0] = reinterpret_cast<uint64_t>(entry);
        words[1] = 0;
        top = words - 6;
    }
    static void turn(Context& from, Context& to) { muse_switch(&from.top, to.top); }
};

#else
#include <ucontext.h>

struct Context {
    ucontext_t state;

    void begin(unsigned char* stack, size_t bytes, void (*entry)()) {
        getcontext(&state);
        state.uc_stack.ss_sp = stack;
        state.uc_stack.ss_size = bytes;
        state.uc_link = nullptr;
        makecontext(&state, entry, 0);
    }
    static void turn(Context& from, Context& to) { swapcontext(&from.state, &to.state); }
};

#endif

// Stacks, kept for the next launch. Below each lies a page that nobody may touch, so that one that overflows is noticed.
class Stacks {
   public:
    static constexpr size_t BYTES = 1 << 16;

    unsigned char* at(size_t index) {
        while (stacks.size() <= index) stacks.push_back(one());
        return stacks[index];
    }
    // They begin at different lines of their pages: else all tops would fight for the same set of the cache.
    static size_t usable_bytes(size_t index) { return BYTES - index % 24 * 128; }

   private:
    static unsigned char* one() {
        const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        void* memory = mmap(nullptr, BYTES + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) abort();
        mprotect(memory, page, PROT_NONE);
        return static_cast<unsigned char*>(memory) + page;
    }

    std::vector<unsigned char*> stacks;
};
