"""The application beside the microscope: a page on this machine, and the same over HTTP.

`app.create(Settings(...))` is the whole of it. Needs the extra `web`. No science lives here:

    settings  what may be read, and how much of it
    guard     who may ask: Host, Origin, token, size of a request
    folders   names that are asked for, to files inside the folders that were given
    reading   files, read in a process of its own that may die (`parse` is what runs there)
    process   such processes;  rendering: that of the simulator (`render` is what runs there)
    experiments  parameters of an experiment as fields and as TOML;  simulating: their routes
    shelf     what is kept, and what gives way to it;  files: those that were sent or chosen
    jobs      one restoration after the other, with progress
    api       the HTTP interface;  messages  what it is told and tells
    watching  watched folders;  studying, rating: blind studies, for their owner and for raters
    answers   pixels, files and arrays;  report: a result as one page that stands alone
"""
