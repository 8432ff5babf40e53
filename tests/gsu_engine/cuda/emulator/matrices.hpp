// The functions of primitives.cuh, as the PTX ISA defines them.
#pragma once

namespace emulator {

struct MultiplyAdd {
    int (*c)[4];
    const unsigned (*a)[4];
    unsigned b0, b1;

    // mma.m16n8k32: see the fragments in primitives.cuh; lane = 4 * g + t.
    __attribute__((optimize("O3"))) static void complete(void** operands, unsigned) {
        alignas(16) signed char a[16][32], b[8][32];
        for (unsigned lane = 0; lane < LANES; ++lane) {
            const auto& mine = *static_cast<MultiplyAdd*>(operands[lane]);
            const unsigned g = lane / 4, t = lane % 4;
            memcpy(&a[g][4 * t], &(*mine.a)[0], 4);
            memcpy(&a[g + 8][4 * t], &(*mine.a)[1], 4);
            memcpy(&a[g][16 + 4 * t], &(*mine.a)[2], 4);
            memcpy(&a[g + 8][16 + 4 * t], &(*mine.a)[3], 4);
            memcpy(&b[g][4 * t], &mine.b0, 4);
            memcpy(&b[g][16 + 4 * t], &mine.b1, 4);
        }
        int sums[16][8];
        for (int row = 0; row < 16; ++row)
            for (int column = 0; column < 8; ++column) {
                int sum = 0;
                for (int i = 0; i < 32; ++i) sum += a[row][i] * b[column][i];
                sums[row][column] = sum;
            }
        for (unsigned lane = 0; lane < LANES; ++lane) {
            auto& c = *static_cast<MultiplyAdd*>(operands[lane])->c;
            const unsigned g = lane / 4, t = lane % 4;
            for (unsigned i = 0; i < 4; ++i) {
                const int sum = sums[g + 8 * (i / 2)][2 * t + i % 2];
                c[i] = static_cast<int>(static_cast<unsigned>(c[i]) + static_cast<unsigned>(sum));
            }
        }
    }
};

struct LoadMatrices {
    unsigned (*out)[4];
    const unsigned char* row;

    static void complete(void** operands, unsigned) {
        unsigned result[LANES][4];
        for (unsigned lane = 0; lane < LANES; ++lane)
            for (unsigned matrix = 0; matrix < 4; ++matrix) {
                const auto* from = static_cast<LoadMatrices*>(operands[8 * matrix + lane / 4]);
                memcpy(&result[lane][matrix], from->row + lane % 4 * 4, 4);
            }
        for (unsigned lane = 0; lane < LANES; ++lane)
            memcpy(static_cast<LoadMatrices*>(operands[lane])->out, result[lane], sizeof(result[lane]));
    }
};

}  // namespace emulator

inline void multiply_add(int (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, int line = __builtin_LINE()) {
    static constexpr emulator::Collective what{"multiply_add", emulator::MultiplyAdd::complete, true};
    emulator::MultiplyAdd operands{&c, &a, b0, b1};
    emulator::meet(what, 0xffffffffu, line, &operands);
}

inline void load_matrices(unsigned (&out)[4], const void* row, int line = __builtin_LINE()) {
    static constexpr emulator::Collective what{"load_matrices", emulator::LoadMatrices::complete, true};
    emulator::check_shared(row, 16, "load_matrices", line);
    emulator::LoadMatrices operands{&out, static_cast<const unsigned char*>(row)};
    emulator::meet(what, 0xffffffffu, line, &operands);
}

inline void begin_copy(void* to_shared, const void* from_global, int line = __builtin_LINE()) {
    emulator::begin_copy(to_shared, from_global, line);
}

inline void close_copies() { emulator::close_copies(); }

template <int pending>
inline void wait_for_copies() {
    static_assert(pending >= 0, "a number of groups");
    emulator::wait_for_copies(pending);
}

// No instruction of its own here: a lane knows its number.
inline int lane_now() { return static_cast<int>(threadIdx.x % 32); }
