// From Python to a kernel: KERNEL(name) gives the shared library two functions: what types the kernel's arguments have,
// and to launch it, as cuLaunchKernel does with an array of pointers to the arguments.
#pragma once
#include <csignal>
#include <sys/time.h>
#include "cuda.h"
#include "tensor.h"

namespace shim {

template <class T> std::string code() {  // as numpy's dtype.str, with a * behind it for a pointer
    if constexpr (std::is_pointer<T>::value) {
        using To = std::remove_const_t<std::remove_pointer_t<T>>;
        if constexpr (std::is_void<To>::value) return "*";
        else return code<To>() + "*";
    } else if constexpr (std::is_same<T, bool>::value) {
        return "b1";
    } else if constexpr (std::is_arithmetic<T>::value) {
        const char* kind = std::is_floating_point<T>::value ? "f" : std::is_signed<T>::value ? "i" : "u";
        return kind + std::to_string(sizeof(T));
    } else {
        return "bf16";
    }
}

template <class... A> std::string codes(void (*)(A...)) { return ((code<A>() + " ") + ...); }

template <class... A, size_t... I> void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*reinterpret_cast<A*>(arguments[I])...);
}

// What the machine, the compiler's own checks (a trap, SIGILL) and the clock stop at, while a kernel runs.
class Guards {
    static constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGILL, SIGVTALRM};
    static constexpr int SECONDS = SHIM_SECONDS;  // of the CPU's time
    struct sigaction before[4];
    stack_t stack_before;

    static void stopped(int signal) {
        give_up(signal == SIGVTALRM ? "no end in sight"
                : signal == SIGILL  ? "a misaligned address, or an index outside its array"
                                    : "an address outside its array");
    }

    static void clock(int seconds) {
        itimerval timer = {{0, 0}, {seconds, 0}};
        setitimer(ITIMER_VIRTUAL, &timer, nullptr);
    }

public:
    Guards() {
        static char memory[64 << 10];  // a stack for the handler: the thread's own may be what is at fault
        stack_t stack = {};
        stack.ss_sp = memory, stack.ss_size = sizeof memory;
        sigaltstack(&stack, &stack_before);
        struct sigaction action = {};
        action.sa_handler = stopped, action.sa_flags = SA_ONSTACK | SA_NODEFER;
        for (int i = 0; i < 4; i++) sigaction(SIGNALS[i], &action, &before[i]);
        clock(SECONDS);
    }

    ~Guards() {
        clock(0);
        for (int i = 0; i < 4; i++) sigaction(SIGNALS[i], &before[i], nullptr);
        sigaltstack(&stack_before, nullptr);
    }
};

typedef unsigned long long Seed;

// sizes: of the grid, then of a block. nullptr, or what went wrong.
template <class... A>
const char* launch(void (*kernel)(A...), const unsigned* sizes, size_t shared, void** arguments, Seed seed) {
    gridDim = {sizes[0], sizes[1], sizes[2]}, blockDim = {sizes[3], sizes[4], sizes[5]};
    dynamic_bytes = shared, dice = {seed}, fault.clear();
    body = [=] { call(kernel, arguments, std::index_sequence_for<A...>()); };
    Guards guards;
    run_grid();
    return fault.empty() ? nullptr : fault.c_str();
}

}  // namespace shim

#define EXPORTED extern "C" __attribute__((visibility("default"))) const char*
#define KERNEL(name)                                                                                       \
    EXPORTED shim_types_##name() {                                                                         \
        static std::string text = shim::codes(name);                                                       \
        return text.c_str();                                                                               \
    }                                                                                                      \
    EXPORTED shim_launch_##name(const unsigned* sizes, size_t shared, void** arguments, shim::Seed seed) { \
        return shim::launch(name, sizes, shared, arguments, seed);                                         \
    }
