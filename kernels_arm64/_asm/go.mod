module siskin/kernels_arm64/asm

go 1.26
