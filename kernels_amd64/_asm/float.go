package main

func floatKernels(a *asm) {}
