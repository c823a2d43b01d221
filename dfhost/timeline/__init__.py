"""What an instance has done, does and waits for, as a list of tasks: for the page, the commands and the console.

`model` has the values, `builder` reads them from what the store holds, `sentences` puts them into words. Pure: no
clock, no SQL, no dispatcher; what runs at this moment is passed in.
"""
