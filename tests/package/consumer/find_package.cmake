find_package(ringkernel 0.1 CONFIG REQUIRED)
