; A bank on a disk, to learn what flushes are for.
;
; Eight accounts with 1000 each are in sectors far apart. A transfer changes two of them, and no disk writes two
; sectors as one: a crash between the two writes would make money vanish. So the bank keeps a journal. It writes down what it
; is about to do, does it, and crosses it out; at boot it does again whatever is in the journal. Then it counts:
;
;       balance 8000 of 8000: adds up
;
; That alone is not enough, since a disk has a cache. A write that the disk has acknowledged may still be in that cache, and
; the disk carries its cache out in any order it likes: the power may fail when the journal is crossed out already, and one
; of the accounts is not written yet. FLUSH CACHE is the one way to have an order: what was written before it is on the disk
; when it is done. The bank needs two of them for each transfer; see `transfer`, and what happens without each.
;
;   nasm -f bin -D FLUSHES=1 bank.asm -o bank.img      or FLUSHES=0
;
; The image is a whole disk of 1 MiB. It runs in real mode on any PC with a BIOS, and tells what it does on the screen
; and on the first serial port.

bits 16
cpu 386
org 0x7c00

; Where things are on the disk, in sectors of 512 bytes.
PROGRAM_SECTORS  equ 4          ; from sector 0 on
JOURNAL          equ 64
ACCOUNTS         equ 128        ; account A is sector ACCOUNTS * (A + 1)
DISK_SECTORS     equ 2048

NR_ACCOUNTS      equ 8
FIRST_BALANCE    equ 1000
TOTAL            equ NR_ACCOUNTS * FIRST_BALANCE

; An account's sector: text for people who look at the disk, then its balance.
ACCOUNT_BALANCE  equ 16

; The journal's sector: all zeros, or a record with the balances that both accounts will have. It has balances, not an
; amount, so that doing it twice is the same as doing it once.
JOURNAL_MAGIC    equ 'JRNL'
struc record
    .magic:         resd 1
    .number:        resd 1      ; of the transfer
    .payer:         resd 1      ; an account
    .payee:         resd 1
    .payer_balance: resd 1
    .payee_balance: resd 1
    .checksum:      resd 1      ; of all before it
endstruc

; Memory.
buffer           equ 0x9000     ; a sector
balances         equ 0x9200     ; a double word for each account

; Ports.
SERIAL           equ 0x3f8
ATA_DRIVE        equ 0x1f6
ATA_COMMAND      equ 0x1f7
FLUSH_CACHE      equ 0xe7

; Prints a text that is in the program after the call.
%macro say 1+
    call print
    db %1, 0
%endmacro

%define NEWLINE 13, 10

start:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    cld
    mov [drive], dl

    ; The BIOS has loaded one sector of the program. Here is the rest.
    mov word [packet.count], PROGRAM_SECTORS - 1
    mov ebx, 1
    mov di, 0x7e00
    call read
    mov word [packet.count], 1
    jmp bank

; Reads sector EBX of the disk to DI.
read:
    mov ah, 0x42
    jmp disk

; Writes DI to sector EBX. When this is done, the disk has it: in its cache.
write:
    mov ah, 0x43
disk:
    pushad
    mov [packet.buffer], di
    mov [packet.sector], ebx
    mov si, packet
    mov dl, [drive]
    mov al, 0
    int 0x13
    popad
    jc .error
    ret
.error:
    say "The disk gives an error.", NEWLINE
    jmp halt

; Has the disk write out its cache, and waits until it has. The BIOS has no call for it.
flush:
    cmp byte [flushes], 0
    je .end
    pushad
    mov dx, ATA_DRIVE
    mov al, 0xe0                ; the first drive
    out dx, al
    mov dx, ATA_COMMAND
    mov al, FLUSH_CACHE
    out dx, al
.busy:
    in al, dx
    test al, 0x80
    jnz .busy
    popad
.end:
    ret

halt:
    hlt
    jmp halt

; Prints the text after the call, and continues after the text.
print:
    pop si
    push eax
.next:
    lodsb
    test al, al
    jz .end
    call put
    jmp .next
.end:
    pop eax
    jmp si

; Prints the number EAX.
print_number:
    pushad
    mov ebx, 10
    mov cx, 0
.divide:
    xor edx, edx
    div ebx
    push dx
    inc cx
    test eax, eax
    jnz .divide
.digit:
    pop ax
    add al, '0'
    call put
    loop .digit
    popad
    ret

; Prints the character AL: on the serial port, and on the screen unless it is for the log.
put:
    pushad
    mov dx, SERIAL
    out dx, al
    cmp byte [is_mark], 0
    jne .end
    mov ah, 0x0e
    mov bx, 7
    int 0x10
.end:
    popad
    ret

align 4
packet:                         ; as INT 13h wants it
    db 16, 0
.count:  dw 1
.buffer: dw 0, 0
.sector: dd 0, 0

drive:   db 0x80
is_mark: db 0

; What may be set in the image, at fixed places of its first sector.
times 500 - ($ - $$) db 0
flushes:      db FLUSHES        ; 500: whether it flushes, 1 or 0
nr_transfers: db 0              ; 501: how many transfers it makes; 0: it continues until it is stopped
ticks:        db 3              ; 502: how long it waits before each, in 18ths of a second
times 510 - ($ - $$) db 0
    dw 0xaa55

bank:
    say NEWLINE, "The bank, with"
    cmp byte [flushes], 0
    jne .flushes
    say "out"
.flushes:
    say " flushes", NEWLINE
    call recover
    call count
    jne .closed
    call begin_mark
    say "the bank opens"
    call end_mark

    mov dword [number], 0
.next:
    call wait_ticks
    call transfer
    mov al, [nr_transfers]
    test al, al
    jz .next
    cmp [number], al
    jne .next
    say "That was all.", NEWLINE
    jmp halt
.closed:
    say "The bank stays closed.", NEWLINE
    jmp halt

; Moves some money from one account to another.
transfer:
    inc dword [number]
    call choose
    call say_transfer

    ; 1. Write down what will be done.
    call write_journal
    call flush
    ; Without this flush: an account may be on the disk when the journal is not. Then a crash leaves one account changed,
    ; and nothing that says so.

    ; 2. Do it.
    mov eax, [payer]
    call write_account
    mov eax, [payee]
    call write_account
    call flush
    ; Without this flush: the journal may be crossed out on the disk when an account is not yet written there.

    ; 3. Cross it out.
    call clear_journal
    ; No flush is needed here. If this write is lost, the next boot does the transfer again, which changes nothing; and
    ; before an account changes again, the next record is in the same sector, and is flushed.

    call begin_mark
    say "transfer "
    mov eax, [number]
    call print_number
    jmp end_mark

; At boot: does again what is in the journal. It was promised.
recover:
    mov ebx, JOURNAL
    mov di, buffer
    call read
    cmp dword [buffer + record.magic], JOURNAL_MAGIC
    jne .empty
    call checksum
    cmp eax, [buffer + record.checksum]
    jne .empty

    mov eax, [buffer + record.number]
    mov [number], eax
    mov eax, [buffer + record.payer]
    mov [payer], eax
    mov ebx, [buffer + record.payer_balance]
    mov [balances + eax * 4], ebx
    mov eax, [buffer + record.payee]
    mov [payee], eax
    mov ebx, [buffer + record.payee_balance]
    mov [balances + eax * 4], ebx

    ; As in a transfer: the same steps from 2 on.
    mov eax, [payer]
    call write_account
    mov eax, [payee]
    call write_account
    call flush
    call clear_journal

    say "journal: transfer "
    mov eax, [number]
    call print_number
    say " is done again", NEWLINE
    ret
.empty:
    say "journal: empty", NEWLINE
    ret

; Reads all accounts, prints what they have together, and gives "equal" if that is what there should be.
count:
    say "accounts:"
    mov dword [sum], 0
    mov ecx, 0
.next:
    mov eax, ecx
    call account_sector
    mov di, buffer
    call read
    mov eax, [buffer + ACCOUNT_BALANCE]
    mov [balances + ecx * 4], eax
    add [sum], eax
    say " "
    call print_number
    inc ecx
    cmp ecx, NR_ACCOUNTS
    jb .next

    say NEWLINE, "balance "
    mov eax, [sum]
    call print_number
    say " of "
    mov eax, TOTAL
    call print_number
    say ": "
    cmp dword [sum], TOTAL
    jb .lost
    ja .made
    say "adds up", NEWLINE
    jmp .end
.lost:
    say "MONEY LOST", NEWLINE
    jmp .end
.made:
    say "MONEY MADE", NEWLINE
.end:
    cmp dword [sum], TOTAL
    ret

; Chooses who gives how much to whom, and changes the balances in memory.
choose:
    mov eax, [random]           ; xorshift: the same transfers after each boot
    mov ebx, eax
    shl ebx, 13
    xor eax, ebx
    mov ebx, eax
    shr ebx, 17
    xor eax, ebx
    mov ebx, eax
    shl ebx, 5
    xor eax, ebx
    mov [random], eax

    mov ebx, eax
    and ebx, NR_ACCOUNTS - 1
    mov ecx, eax
    shr ecx, 8
    and ecx, NR_ACCOUNTS - 1
    cmp ebx, ecx
    je choose
    shr eax, 16
    and eax, 127
    inc eax
    cmp [balances + ebx * 4], eax
    jb choose                   ; not so much is there
    sub [balances + ebx * 4], eax
    add [balances + ecx * 4], eax
    mov [payer], ebx
    mov [payee], ecx
    mov [amount], eax
    ret

say_transfer:
    say "transfer "
    mov eax, [number]
    call print_number
    say ": "
    mov eax, [amount]
    call print_number
    say " from account "
    mov eax, [payer]
    call print_number
    say " to "
    mov eax, [payee]
    call print_number
    say NEWLINE
    ret

write_journal:
    call clear_buffer
    mov dword [buffer + record.magic], JOURNAL_MAGIC
    mov eax, [number]
    mov [buffer + record.number], eax
    mov eax, [payer]
    mov [buffer + record.payer], eax
    mov eax, [balances + eax * 4]
    mov [buffer + record.payer_balance], eax
    mov eax, [payee]
    mov [buffer + record.payee], eax
    mov eax, [balances + eax * 4]
    mov [buffer + record.payee_balance], eax
    call checksum
    mov [buffer + record.checksum], eax
    jmp put_journal

clear_journal:
    call clear_buffer
put_journal:
    mov ebx, JOURNAL
    mov di, buffer
    jmp write

; The checksum of the record in the buffer, to EAX.
checksum:
    mov eax, 0
    mov si, buffer
.next:
    rol eax, 5
    add eax, [si]
    add si, 4
    cmp si, buffer + record.checksum
    jb .next
    ret

; Writes account EAX.
write_account:
    push eax
    call clear_buffer
    mov dword [buffer], 'acco'
    mov dword [buffer + 4], 'unt '
    mov [buffer + 8], al
    add byte [buffer + 8], '0'
    mov ebx, [balances + eax * 4]
    mov [buffer + ACCOUNT_BALANCE], ebx
    pop eax
    call account_sector
    mov di, buffer
    jmp write

; The sector of account EAX, to EBX.
account_sector:
    mov ebx, eax
    inc ebx
    imul ebx, ACCOUNTS
    ret

clear_buffer:
    pushad
    mov di, buffer
    mov cx, 512 / 4
    xor eax, eax
    rep stosd
    popad
    ret

; What is said between these two is a line for the log alone: it becomes a mark there.
begin_mark:
    mov byte [is_mark], 1
    say "logwrites:mark "
    ret
end_mark:
    say NEWLINE
    mov byte [is_mark], 0
    ret

; Waits as long as the image says. The timer counts at 046Ch.
wait_ticks:
    movzx ecx, byte [ticks]
    add ecx, [0x46c]
.next:
    cmp [0x46c], ecx
    jae .end
    hlt
    jmp .next
.end:
    ret

align 4
number: dd 0                    ; of the transfer
payer:  dd 0
payee:  dd 0
amount: dd 0
sum:    dd 0
random: dd 2463534242

times PROGRAM_SECTORS * 512 - ($ - $$) db 0

; The accounts, as they are at first.
%assign account 0
%rep NR_ACCOUNTS
    times ACCOUNTS * (account + 1) * 512 - ($ - $$) db 0
    db "account ", '0' + account
    times ACCOUNT_BALANCE - 9 db 0
    dd FIRST_BALANCE
%assign account account + 1
%endrep

times DISK_SECTORS * 512 - ($ - $$) db 0
