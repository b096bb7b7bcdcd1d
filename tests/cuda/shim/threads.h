// The threads of a CUDA grid as coroutines on one CPU thread: how they wait for each other. grid.h runs them.
//
// A thread runs until it has to wait for others: at a barrier of its block, or where lanes of its warp meet. Each has a
// random rank, and of those that can run the highest does: so some hurry ahead as far as the barriers let them, and
// others lie behind, which a kernel with a barrier too few cannot bear. (That random ranks find such faults is shown in
// Burckhardt et al. 2010, "A randomized scheduler with probabilistic guarantees of finding bugs".)
#pragma once
#include <csetjmp>
#include <cstring>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <ucontext.h>
#include <vector>

struct dim3 { unsigned x, y, z; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;  // of the thread that runs

namespace shim {

constexpr int LANES = 32;
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
    unsigned slot;                     // its place on the machine
    std::vector<Thread> threads;
    std::priority_queue<std::pair<unsigned, Thread*>> ready;  // those that can run, by rank
    std::vector<char> shared;          // its static shared memory, while another block runs
    int waiting = 0, yes = 0;          // at the barrier
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
static std::string fault;  // the first thing that went wrong
static jmp_buf scheduler;

[[noreturn]] inline void give_up(const std::string& what) {
    fault = what;
    _longjmp(scheduler, 1);
}

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
    if (number < thread.block->threads.size()) return thread.block->threads[number];
    give_up(std::string("a mask with lanes that are not there, at ") + thread.place);
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
        bool here = lane->state == Thread::IN_WARP && lane->mask == mask;
        complete &= here;
        if (here && strcmp(lane->place, place))
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

}  // namespace shim
