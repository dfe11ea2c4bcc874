"""The machine a process runs on: devices, memory, several processes, Ray."""
