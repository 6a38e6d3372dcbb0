//! Arrow IPC files in one buffer: measured, written with one copy, checked, opened without any.
