"""Bond prices, the short rate and the wealth of those who hold bonds: why is the curve flat?"""
