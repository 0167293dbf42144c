"""The front end for the verification competition (VNN-COMP): run its benchmarks, score results, draw cactus plots.

A benchmark is a folder with `instances.csv` (rows `onnx,vnnlib,timeout`) and optionally `ground_truth.csv`. A result is a
row `category,onnx,vnnlib,prepare_time,result,run_time`, as the competition publishes them, so the results of any tool can be
read, scored and plotted, and ours can be given to the competition's own scripts.
"""
