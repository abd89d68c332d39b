import threading
def work(number):
    if number == 1:
        raise OSError("thread 1")
    print("thread", number)
for number in range(3):
    thread = threading.Thread(target=work, args=(number,), name=f"worker {number}")
    thread.start()
    thread.join()
print("main ends")
