// A hit as one number: the score's bits made ascending, then the place. The larger key is the better row: of equal
// scores the newer one, and no two rows have the same key.
#pragma once
#include "structs.cuh"

#define NO_ROW __uint_as_float(0x7fc00000u)      // NaN: compares false with every threshold
#define BELOW_ALL __uint_as_float(0xff800000u)   // -infinity
#define ABOVE_ALL __uint_as_float(0x7f800000u)   // +infinity

// Bits of a float in an order that unsigned integers have.
__device__ __forceinline__ uint32 ascending(float value) {
    uint32 bits = __float_as_uint(value);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float from_ascending(uint32 bits) {
    return __uint_as_float(bits >> 31 ? bits & 0x7fffffffu : ~bits);
}

__device__ __forceinline__ uint64 key_of(float score, int place) {
    return (uint64)ascending(score) << 32 | (uint32)place;
}

// The smallest product y = dot * inv_norm_row whose score y * inv_norm_candidate is not below that of `y`: rounding may
// give a slightly smaller product the same score, and then its row may be the newer one. Products are 0 or at least
// 1e-4 in magnitude, so nothing lies just below 0.
__device__ __forceinline__ float smallest_with_score_of(float y, float candidate_norm) {
    if (y == 0 || y == BELOW_ALL || candidate_norm == 0) return y;
    float score = __fmul_rn(y, candidate_norm);
    for (;;) {
        float below = from_ascending(ascending(y) - 1);
        if (__fmul_rn(below, candidate_norm) < score) return y;
        y = below;
    }
}
