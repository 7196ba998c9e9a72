"""Blind studies: which method do people who know such scans prefer, and how sure is that?

design     who sees what where: balanced, so that no place favours a method
material   measured scans and what several methods made of them, ready to be drawn
store      a study and its answers, one SQLite file
agreement  how far raters agree;  results: the table, its intervals, and files of both
"""
