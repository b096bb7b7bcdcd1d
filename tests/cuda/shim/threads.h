// The threads of a CUDA grid as coroutines on one CPU thread.
//
// A thread runs until it has to wait for others: at a barrier of its block, or where lanes of its warp meet. Each has a
// random rank, and of those that can run the highest does: so some threads hurry ahead as far as the barriers let them,
// and others lie behind, which is what a missing barrier cannot bear. (Ranks as in Burckhardt et al. 2010, "A randomized
// scheduler with probabilistic guarantees of finding bugs".) Blocks come in a random order, a few at a time, and take
// turns. The seed decides all of it. Where nobody can run, that is a deadlock.
#pragma once
#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <functional>
#include <link.h>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

struct dim3 { unsigned x, y, z; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;  // of the thread that runs

namespace shim {

constexpr int LANES = 32;
constexpr unsigned MOST_THREADS = 1024, RESIDENT = 3;  // of a block; blocks on the machine at a time
constexpr size_t MOST_SHARED = 227 << 10, STACK = 256 << 10, PAGE = 4096;
constexpr unsigned char POISON = 0xff;  // NaN in every float type, −1 in integers

struct Block;

struct Thread {
    enum State { READY, AT_BARRIER, IN_WARP, DONE } state = READY;
    Block* block;
    int number, lane;
    unsigned rank;
    dim3 index;
    ucontext_t start;
    jmp_buf here;
    bool started = false;
    const char* place = "";            // where it waits
    int votes = 0;                     // how many said yes at its last barrier
    unsigned mask = 0;                 // with which lanes it waits
    const void* gives = nullptr;       // what it has for them
    std::shared_ptr<char[]> gathered;  // what they all had
};

struct Block {
    dim3 index;
    unsigned slot;                 // its place on the machine
    std::vector<Thread> threads;
    std::priority_queue<std::pair<unsigned, Thread*>> ready;  // those that can run, by rank
    std::vector<char> shared;      // its static shared memory, while another block runs
    int waiting = 0, yes = 0;      // at the barrier
    unsigned done = 0;
};

struct Random {
    unsigned long long state;
    unsigned below(unsigned n) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        return (state >> 33) % n;
    }
};

static Random dice;
static Thread* current;
static Block* running;               // whose static shared memory is in place
static std::function<void()> body;   // the kernel with its arguments
static std::string fault;            // the first thing that went wrong
static jmp_buf scheduler;

[[noreturn]] inline void give_up(const std::string& what) {
    fault = what;
    _longjmp(scheduler, 1);
}

inline std::string name(const char* what, dim3 at) {
    return std::string(what) + " (" + std::to_string(at.x) + ", " + std::to_string(at.y) + ", " + std::to_string(at.z) + ")";
}

// waiting

inline void make_ready(Thread& thread) {
    thread.state = Thread::READY;
    if (dice.below(256) == 0) thread.rank = dice.below(~0u);  // fortune turns now and then
    thread.block->ready.push({thread.rank, &thread});
}

inline void pause() {  // until the scheduler takes this thread again, which make_ready is needed for
    if (!_setjmp(current->here)) _longjmp(scheduler, 1);
}

// A barrier of the block. The number of threads that came with `vote`.
inline int barrier(const char* place, bool vote = false) {
    Thread& me = *current;
    Block& block = *me.block;
    me.state = Thread::AT_BARRIER, me.place = place;
    block.yes += vote;
    if (++block.waiting == (int)block.threads.size()) {
        for (Thread& thread : block.threads) {
            if (strcmp(thread.place, place))
                give_up(std::string("divergent barrier: threads wait at ") + thread.place + " and at " + place);
            thread.votes = block.yes;
            make_ready(thread);
        }
        block.waiting = block.yes = 0;
    }
    pause();
    return me.votes;
}

inline Thread& lane_of(const Thread& thread, int lane) {
    size_t number = thread.number - thread.lane + lane;
    if (number >= thread.block->threads.size()) give_up(std::string("a mask with lanes that are not there, at ") + thread.place);
    return thread.block->threads[number];
}

// Where the lanes of `mask` meet: what each of them gives, by lane; lanes outside the mask hold poison. All collectives
// of a warp are made of it (cuda.h). It is valid until the thread's next one.
template <class T> const T* gather(const char* place, unsigned mask, const T& mine) {
    Thread& me = *current;
    me.state = Thread::IN_WARP, me.place = place, me.mask = mask, me.gives = &mine;
    if (!(mask >> me.lane & 1)) give_up(std::string("a lane that its own mask leaves out, at ") + place);
    std::vector<Thread*> lanes;
    for (int i = 0; i < LANES; i++)
        if (mask >> i & 1) lanes.push_back(&lane_of(me, i));
    bool complete = true;
    for (Thread* lane : lanes) {
        complete &= lane->state == Thread::IN_WARP && lane->mask == mask;
        if (lane->state == Thread::IN_WARP && lane->mask == mask && strcmp(lane->place, place))
            give_up(std::string("divergent warp: lanes of one mask meet at ") + lane->place + " and at " + place);
    }
    if (complete) {
        std::shared_ptr<char[]> all(new char[LANES * sizeof(T)]);
        memset(all.get(), POISON, LANES * sizeof(T));
        for (Thread* lane : lanes) memcpy(all.get() + lane->lane * sizeof(T), lane->gives, sizeof(T));
        for (Thread* lane : lanes) lane->gathered = all, make_ready(*lane);
    }
    pause();
    return reinterpret_cast<const T*>(me.gathered.get());
}

// running

// The static __shared__ variables: they are `static __thread` here, so that they lie side by side in this library's
// thread-local memory, which holds nothing else, and can be poisoned, and kept while another block runs.
struct Memory { char* data; size_t size; };
static Memory statics;

inline void find_statics() {
    static __thread char anchor;  // thread-local memory is there from the first access on
    dl_iterate_phdr([](dl_phdr_info* library, size_t, void* anchor) {
        char* data = (char*)library->dlpi_tls_data;
        for (int i = 0; i < library->dlpi_phnum; i++) {
            size_t size = library->dlpi_phdr[i].p_memsz;
            if (library->dlpi_phdr[i].p_type == PT_TLS && data <= anchor && anchor < data + size) statics = {data, size};
        }
        return 0;
    }, &anchor);
}

inline char* guarded(size_t bytes) {  // memory with a page before and behind it that nobody may touch
    char* all = (char*)mmap(nullptr, bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    mprotect(all + PAGE, bytes, PROT_READ | PROT_WRITE);
    return all + PAGE;
}

inline char* stack_of(const Thread& thread) {
    static char* stacks[RESIDENT][MOST_THREADS];
    char*& stack = stacks[thread.block->slot][thread.number];
    return stack ? stack : stack = guarded(STACK);
}

static size_t dynamic_bytes;

inline char* dynamic_shared(const Block& block) {  // it ends where the guarded memory ends
    static char* memory[RESIDENT];
    constexpr size_t size = (MOST_SHARED + PAGE - 1) / PAGE * PAGE;
    char*& mine = memory[block.slot];
    if (!mine) mine = guarded(size);
    return mine + size - (dynamic_bytes + 15) / 16 * 16;
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
    for (unsigned i = 0; i < block->threads.size(); i++) {
        Thread& thread = block->threads[i];
        thread.block = block.get(), thread.number = i, thread.lane = i % LANES, thread.rank = dice.below(~0u);
        thread.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
        getcontext(&thread.start);
        thread.start.uc_stack.ss_sp = stack_of(thread), thread.start.uc_stack.ss_size = STACK;
        makecontext(&thread.start, enter, 0);
        make_ready(thread);
    }
    return block;
}

inline void run(Thread& thread) {
    Block* block = thread.block;
    if (running != block) {
        if (running) memcpy(running->shared.data(), statics.data, statics.size);
        memcpy(statics.data, block->shared.data(), statics.size);
        running = block;
    }
    current = &thread, threadIdx = thread.index, blockIdx = block->index;
    if (_setjmp(scheduler)) return;  // it waits, or is done
    if (thread.started) _longjmp(thread.here, 1);
    thread.started = true;
    setcontext(&thread.start);
}

inline std::string deadlock(const Block& block) {
    std::map<std::string, int> where;
    for (const Thread& thread : block.threads)
        where[thread.state == Thread::DONE ? "have returned" : std::string("wait at ") + thread.place]++;
    std::string text = "deadlock in " + name("block", block.index);
    for (auto& [place, count] : where) text += (text.find(':') == text.npos ? ": " : ", ") + std::to_string(count) + " threads " + place;
    return text;
}

// All blocks of the grid. They come in any order, up to RESIDENT at a time, and a block runs on for a while before
// another one does.
inline void run_grid() {
    find_statics();
    std::vector<dim3> to_come;
    for (unsigned z = 0; z < gridDim.z; z++)
        for (unsigned y = 0; y < gridDim.y; y++)
            for (unsigned x = 0; x < gridDim.x; x++) to_come.push_back({x, y, z});
    for (size_t i = to_come.size(); i > 1; i--) std::swap(to_come[i - 1], to_come[dice.below(i)]);
    std::unique_ptr<Block> resident[RESIDENT];
    running = nullptr;
    for (;;) {
        std::vector<Block*> able;
        for (unsigned slot = 0; slot < RESIDENT; slot++) {
            if (!resident[slot] && !to_come.empty()) {
                resident[slot] = new_block(to_come.back(), slot);
                to_come.pop_back();
            }
            if (resident[slot] && !resident[slot]->ready.empty()) able.push_back(resident[slot].get());
        }
        if (able.empty()) {
            for (auto& block : resident)
                if (block) fault = deadlock(*block);
            return;
        }
        Block* block = able[dice.below(able.size())];
        for (unsigned turns = 1 + dice.below(2 * block->threads.size()); turns && !block->ready.empty(); turns--) {
            Thread* thread = block->ready.top().second;
            block->ready.pop();
            run(*thread);
            if (!fault.empty()) {
                fault += ", in " + name("block", block->index) + ", " + name("thread", thread->index);
                return;
            }
        }
        if (block->done == block->threads.size()) {
            running = nullptr;
            resident[block->slot].reset();
        }
    }
}

}  // namespace shim
