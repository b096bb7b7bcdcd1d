// A grid on a machine for a few blocks: the memory of its threads and blocks, and the loop that runs them.
//
// Blocks come in a random order, and those on the machine take turns. Shared memory is poison when a block begins.
// The seed decides every order. Where nobody can run, that is a deadlock.
#pragma once
#include <algorithm>
#include <link.h>
#include <map>
#include <sys/mman.h>
#include "threads.h"

namespace shim {

constexpr unsigned RESIDENT = 3;  // blocks on the machine at a time
constexpr size_t MOST_SHARED = 227 << 10, STACK = 128 << 10, PAGE = 4096;

static Block* running;              // whose static shared memory is in place
static std::function<void()> body;  // the kernel with its arguments
static size_t dynamic_bytes;        // of shared memory, as the launch asked for

// Static __shared__ variables are `static __thread` here, so that they lie side by side in this library's thread-local
// memory, which holds nothing else, and can be poisoned, and kept while another block runs.
struct Memory { char* data; size_t size; };
static Memory statics;

inline void find_statics() {
    static __thread char anchor;  // thread-local memory is there from the first access on
    auto look = [](dl_phdr_info* library, size_t, void* anchor) {
        char* data = (char*)library->dlpi_tls_data;
        for (int i = 0; i < library->dlpi_phnum; i++) {
            auto& part = library->dlpi_phdr[i];
            if (part.p_type == PT_TLS && data <= anchor && anchor < data + part.p_memsz) statics = {data, part.p_memsz};
        }
        return 0;
    };
    dl_iterate_phdr(look, &anchor);
}

inline char* pages(size_t bytes, int access) {
    void* memory = mmap(nullptr, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) give_up("no memory for the threads");
    return (char*)memory;
}

// Dynamic shared memory ends where nobody may touch a byte.
inline char* dynamic_shared(const Block& block) {
    static char* memory[RESIDENT];
    constexpr size_t size = (MOST_SHARED + PAGE - 1) / PAGE * PAGE;
    char*& mine = memory[block.slot];
    if (!mine) {
        mine = pages(size + PAGE, PROT_READ | PROT_WRITE);
        mprotect(mine + size, PAGE, PROT_NONE);
    }
    return mine + size - (dynamic_bytes + 15) / 16 * 16;
}

// A stack of each thread of a block; the last thing a thread would overwrite is MARK.
constexpr unsigned long long MARK = 0x7468652065646765;
inline unsigned long long& mark_of(const Thread& thread) {
    return *reinterpret_cast<unsigned long long*>(thread.start.uc_stack.ss_sp);
}

inline char* stacks_of(const Block& block) {
    static Memory stacks[RESIDENT];
    Memory& mine = stacks[block.slot];
    size_t size = block.threads.size() * STACK;
    if (mine.size < size) {
        if (mine.data) munmap(mine.data, mine.size);
        mine = {pages(size, PROT_READ | PROT_WRITE), size};
    }
    return mine.data;
}

inline void enter() {
    body();
    current->state = Thread::DONE;
    current->block->done++;
    _longjmp(scheduler, 1);
}

inline std::unique_ptr<Block> new_block(dim3 index, unsigned slot) {
    auto block = std::make_unique<Block>();
    block->index = index, block->slot = slot;
    block->shared.assign(statics.size, POISON);
    memset(dynamic_shared(*block), POISON, dynamic_bytes);
    block->threads.resize(blockDim.x * blockDim.y * blockDim.z);
    char* stacks = stacks_of(*block);
    for (unsigned i = 0; i < block->threads.size(); i++) {
        Thread& thread = block->threads[i];
        thread.block = block.get(), thread.number = i, thread.lane = i % LANES, thread.rank = dice.below(~0u);
        thread.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
        getcontext(&thread.start);
        thread.start.uc_stack.ss_sp = stacks + i * STACK, thread.start.uc_stack.ss_size = STACK;
        mark_of(thread) = MARK;
        makecontext(&thread.start, enter, 0);
        make_ready(thread);
    }
    return block;
}

inline void run(Thread& thread) {  // until it waits, or is done
    Block* block = thread.block;
    if (running != block) {
        if (running) memcpy(running->shared.data(), statics.data, statics.size);
        memcpy(statics.data, block->shared.data(), statics.size);
        running = block;
    }
    current = &thread, threadIdx = thread.index, blockIdx = block->index;
    if (_setjmp(scheduler)) return;
    if (thread.started) _longjmp(thread.here, 1);
    thread.started = true;
    setcontext(&thread.start);
}

inline std::string text(const char* what, dim3 at) {
    auto number = [](unsigned n) { return std::to_string(n); };
    return std::string(what) + " (" + number(at.x) + ", " + number(at.y) + ", " + number(at.z) + ")";
}

inline std::string deadlock(const Block& block) {
    std::map<std::string, int> where;
    for (const Thread& thread : block.threads)
        where[thread.state == Thread::DONE ? "have returned" : std::string("wait at ") + thread.place]++;
    std::string told = "deadlock in " + text("block", block.index), between = ": ";
    for (auto& [place, count] : where) told += between + std::to_string(count) + " threads " + place, between = ", ";
    return told;
}

// One block's turn: as many of its threads as chance will have.
inline void take_turn(Block& block) {
    for (unsigned steps = 1 + dice.below(2 * block.threads.size()); steps && !block.ready.empty(); steps--) {
        Thread& thread = *block.ready.top().second;
        block.ready.pop();
        run(thread);
        if (fault.empty() && mark_of(thread) != MARK) fault = "a stack that is too small";
        if (!fault.empty()) {
            fault += ", in " + text("block", block.index) + ", " + text("thread", thread.index);
            return;
        }
    }
}

inline void run_grid() {
    find_statics();
    std::vector<dim3> to_come;
    for (unsigned z = 0; z < gridDim.z; z++)
        for (unsigned y = 0; y < gridDim.y; y++)
            for (unsigned x = 0; x < gridDim.x; x++) to_come.push_back({x, y, z});
    for (size_t i = to_come.size(); i > 1; i--) std::swap(to_come[i - 1], to_come[dice.below(i)]);
    std::unique_ptr<Block> resident[RESIDENT];
    running = nullptr;
    while (fault.empty()) {
        std::vector<Block*> able;
        for (unsigned slot = 0; slot < RESIDENT; slot++) {
            if (resident[slot] && resident[slot]->done == resident[slot]->threads.size()) {
                if (running == resident[slot].get()) running = nullptr;
                resident[slot].reset();
            }
            if (!resident[slot] && !to_come.empty()) {
                resident[slot] = new_block(to_come.back(), slot);
                to_come.pop_back();
            }
            if (resident[slot] && !resident[slot]->ready.empty()) able.push_back(resident[slot].get());
        }
        if (!able.empty()) {
            take_turn(*able[dice.below(able.size())]);
            continue;
        }
        for (auto& block : resident)
            if (block) fault = deadlock(*block);
        return;
    }
}

}  // namespace shim
