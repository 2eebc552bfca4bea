package main

func vectorKernels(a *asm) {}
