//! The actor dialect through all of its compilers, and rkc.
//!
//! Compilers that are not installed are skipped with a line on standard error. CUDA's are looked for in
//! RINGKERNEL_CUDA_HOME (with bin/nvcc and lib/libnvrtc.so.13), else beside the nvcc on PATH.

mod arguments;
mod buffers;
mod compilers;
mod histogram;
mod lanes;
mod layout;
mod module_file;
mod nvrtc;
mod run;
mod tools;
mod wrong_use;
