"""What is wrong with a prepared set: copies, leaks, wrong labels, outliers, rare classes, drift.

All of it is learnt from the images themselves: no network, no weights from elsewhere.
"""
