"""Programs on devices with memory and a queue of their own: what OpenCL and CUDA share.  Plugins bring the drivers."""
