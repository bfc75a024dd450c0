/* Calls that queue kernels and graphs of CUDA: see call.h.  calls.py makes these objects. */

#define MODULE core_cuda_calls
#define INIT PyInit_core_cuda_calls

#include "calling.h"
#include "classes.h"
#include "calls_commands.h"
#include "recording.h"
#include "calls_queue.h"
#include "made.h"
#include "call.h"
