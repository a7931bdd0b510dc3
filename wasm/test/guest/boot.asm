; A boot sector that writes to its disks, flushes them, and says so on the serial line: what the tests want to find
; in the log, in this order. INT 13h for the writes, the ports of the ATA channel for what the BIOS has no call for.
;
;   nasm -f bin boot.asm -o boot.bin

bits 16
org 0x7c00

BUFFER equ 0x8000               ; 32 KiB from here on
SERIAL equ 0x3f8
ATA    equ 0x1f0

start:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    cld

    mov si, booted
    call print

    ; hda: 1 KiB of A at sector 16, a flush
    mov al, 'A'
    mov cx, 2
    mov bx, 16
    call write_first
    mov al, 0xe7                ; FLUSH CACHE
    call command_first

    ; 4 KiB of B at 32, 32 KiB of C at 100, another flush
    mov al, 'B'
    mov cx, 8
    mov bx, 32
    call write_first
    mov al, 'C'
    mov cx, 64
    mov bx, 100
    call write_first
    mov al, 0xea                ; FLUSH CACHE EXT
    call command_first

    ; what IDENTIFY says, read by words and by double words
    call identify
    mov cx, 256
    rep insw
    mov bx, 200
    call write_identify
    call identify
    mov cx, 128
    rep insd
    mov bx, 201
    call write_identify

    ; the write cache off, and on again
    mov al, 0x82
    call set_features
    mov al, 'D'
    mov cx, 1
    mov bx, 300
    call write_first
    call identify
    mov cx, 256
    rep insw
    mov bx, 301
    call write_identify
    mov al, 0x02
    call set_features
    mov al, 'E'
    mov cx, 1
    mov bx, 302
    call write_first

    ; hdb: a sector of F at 5, a flush
    mov al, 'F'
    mov cx, 1
    mov bx, 5
    mov byte [drive], 0x81
    call write
    mov ah, 0xf0
    mov al, 0xe7
    call command

    mov si, done
    call print
halt:
    hlt
    jmp halt

; Writes CX sectors of the byte AL at sector BX of hda.
write_first:
    mov byte [drive], 0x80
; The same to the drive of INT 13h in [drive].
write:
    push cx
    mov di, BUFFER
    shl cx, 8
    mov ah, al
    rep stosw
    pop cx
write_buffer:
    mov [dap.count], cx
    mov [dap.sector], bx
    mov si, dap
    mov dl, [drive]
    mov ax, 0x4300
    int 0x13
    ret

; Writes what IDENTIFY gave at sector BX.
write_identify:
    mov cx, 1
    jmp write_buffer

; Asks hda for IDENTIFY, to be read from DX to ES:DI.
identify:
    mov al, 0xec
    call command_first
    mov dx, ATA
    mov di, BUFFER
    ret

; SET FEATURES, subcommand AL, of hda.
set_features:
    mov dx, ATA + 1
    out dx, al
    mov al, 0xef
; Gives hda the command AL and waits for it.
command_first:
    mov ah, 0xe0
; Gives the command AL to the drive of the byte AH, and waits.
command:
    push ax
    mov dx, ATA + 6
    mov al, ah
    out dx, al
    pop ax
    inc dx
    out dx, al
.busy:
    in al, dx
    test al, 0x80
    jnz .busy
    ret

; Prints the text at SI.
print:
    lodsb
    test al, al
    jz .end
    mov dx, SERIAL
    out dx, al
    jmp print
.end:
    ret

booted: db "logwrites:mark booted", 13, 10, 0
done:   db "logwrites:mark done", 13, 10, 0
drive:  db 0x80

align 4
dap:
    db 16, 0
.count: dw 0
    dw BUFFER, 0
.sector: dq 0

times 510 - ($ - $$) db 0
    dw 0xaa55
